package settings

import (
	"context"

	"github.com/urfave/cli/v3"
)

// Run runs a command and its subcommands, and gives it --version. Whatever goes wrong before one of their actions begins
// is ErrUsage: a flag that does not exist, or a value that a flag or its variable does not take.
func Run(ctx context.Context, root *cli.Command, args []string) error {
	began := false
	root.Version = Version()
	prepare(root, &began)
	err := root.Run(ctx, args)
	if err != nil && !began {
		return Usage("%w; see %s --help", err, root.Name)
	}
	return err
}

func prepare(c *cli.Command, began *bool) {
	c.ExitErrHandler = func(context.Context, *cli.Command, error) {} // main turns errors into exit codes
	c.OnUsageError = func(_ context.Context, _ *cli.Command, err error, _ bool) error { return err }
	if action := c.Action; action != nil {
		c.Action = func(ctx context.Context, c *cli.Command) error {
			*began = true
			return action(ctx, c)
		}
	}
	for _, sub := range c.Commands {
		prepare(sub, began)
	}
}
