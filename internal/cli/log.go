package cli

import (
	"log/slog"

	"github.com/spf13/pflag"

	"starttls/internal/config"
)

// logFlags say what is logged, and how.
type logFlags config.Log

func (f *logFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.Level, "log-level", "info", "debug, info, warn, error")
	fs.StringVar(&f.Format, "log-format", "text", "text, json")
}

// logger returns the log that the flags ask for.
func (f *logFlags) logger(std streams) (*slog.Logger, error) {
	return newLogger(std, &config.File{Log: config.Log(*f)})
}
