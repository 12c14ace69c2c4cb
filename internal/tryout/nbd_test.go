package tryout

import (
	"fmt"
	"strings"
)

var nbdWires = []wire{
	{"nbd", "by INFO and GO", "00 00 00 03" + nbdOpt("06", "00 00 00 01 'x' 00 00") + nbdOpt("03", "") + nbdOpt("05", "") + nbdOpt("07", "00 00 00 00 00 00") +
		nbdAsk("00 00", "00 00 00 00 00 0f ff ff", "01") + nbdAsk("00 00", "00 00 00 00 00 0f ff ff", "02") + nbdAsk("00 01", "00 00 00 00 00 00 00 00", "01") + "00" + nbdAsk("00 02", "00 00 00 00 00 00 00 00", "00") + "'more'",
		nbdHello + nbdSays("06", "00 00 00 03", "00 00 00 00 00 00 00 10 00 00 00 03") + nbdSays("06", "00 00 00 01", "") +
			nbdSays("03", "00 00 00 02", "00 00 00 05 'zeros'") + nbdSays("03", "00 00 00 01", "") + nbdSays("05", "80 00 00 01", "") +
			nbdSays("07", "00 00 00 03", "00 00 00 00 00 00 00 10 00 00 00 03") + nbdSays("07", "00 00 00 01", "") +
			nbdDone("00") + "00" + nbdDone("16") + nbdDone("01"), ""},
	{"nbd", "by name", "00 00 00 01" + nbdOpt("01", "'any'") + "'no request'" + strings.Repeat("00", 18),
		nbdHello + "00 00 00 00 00 10 00 00 00 03" + strings.Repeat("00", 124), ""},
	{"nbd", "gives up", "00 00 00 03" + nbdOpt("07", "00 00 00 09 00 00") + nbdOpt("02", "") + "'more'",
		nbdHello + nbdSays("07", "80 00 00 03", "") + nbdSays("02", "00 00 00 01", ""), ""},
}

const nbdHello = "'NBDMAGICIHAVEOPT' 00 03"

func nbdOpt(option, data string) string {
	return fmt.Sprintf("'IHAVEOPT' 00 00 00 %s 00 00 00 %02x", option, len(bytesOf(data))) + data
}

func nbdSays(option, kind, data string) string {
	return fmt.Sprintf("00 03 e8 89 04 55 65 a9 00 00 00 %s %s 00 00 00 %02x", option, kind, len(bytesOf(data))) + data
}

func nbdAsk(kind, from, size string) string {
	return "25 60 95 13 00 00" + kind + "'cookie!!'" + from + "00 00 00" + size
}

func nbdDone(failure string) string { return "67 44 66 98 00 00 00" + failure + "'cookie!!'" }
