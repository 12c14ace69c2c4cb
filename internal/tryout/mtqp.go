package tryout

import "strings"

// mtqp has heard of no message (RFC 3887).
var mtqp = protocol{"mtqp", func(s *session) error {
	s.say("+OK/MTQP %s starttls try-out server", s.name())
	for {
		verb, arg, err := s.command()
		if err != nil {
			return err
		}
		if verb == "QUIT" {
			s.say("+OK Bye")
			return nil
		}
		s.say("%s", mtqpAnswer(verb, arg))
	}
}, "-BAD Line too long"}

func mtqpAnswer(verb, arg string) string {
	switch {
	case verb == "COMMENT":
		return "+OK"
	case verb != "TRACK":
		return "-BAD Command not known"
	case len(strings.Fields(arg)) != 2:
		return "-BAD Say TRACK envelope secret"
	}
	return "-ERR No such message"
}
