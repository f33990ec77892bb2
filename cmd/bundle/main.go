// Command bundle makes, checks and shows the zip of a Python Lambda function, without Pulumi and without AWS.
//
// Exit codes: 0 done, 1 the build or the bundle is bad, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

const usage = `usage: bundle COMMAND [FLAGS] [ARGUMENT]

commands:
  build      requirements + sources -> a verified zip, the same bytes on every machine
  verify     check a zip or a folder, also one that another tool made: will it load on Lambda?
  inspect    show what is in a zip: packages, versions, sizes, what it runs on
  context    write the context of the docker build step into a folder

"bundle COMMAND -h" lists the flags of a command.
`

// errUsage is an error of the command line; its text was printed already.
var errUsage = errors.New("wrong usage")

// command is one verb.
type command struct {
	name string
	run  func(ctx context.Context, args []string, stdout, stderr io.Writer) error
}

var commands = []command{{"build", build}, {"verify", verifyBundle}, {"inspect", inspect}, {"context", stageContext}}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run does one command and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	if slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
		fmt.Fprint(stdout, usage)
		return 0
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		err := c.run(ctx, args[1:], stdout, stderr)
		switch {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return 0
		case errors.Is(err, errUsage):
			return 2
		}
		fmt.Fprintln(stderr, "bundle: "+err.Error())
		return 1
	}
	fmt.Fprintf(stderr, "bundle: unknown command %q\n\n%s", args[0], usage)
	return 2
}

// parse reads the flags of a command and its arguments, whose number is exact.
func parse(flags *flag.FlagSet, args []string, stderr io.Writer, operands ...string) ([]string, error) {
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "usage: bundle %s [FLAGS]", flags.Name())
		for _, o := range operands {
			fmt.Fprint(stderr, " "+o)
		}
		fmt.Fprintln(stderr, "\n\nflags:")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, errUsage
	}
	if flags.NArg() != len(operands) {
		fmt.Fprintf(stderr, "bundle %s: got %d arguments, want %d\n", flags.Name(), flags.NArg(), len(operands))
		flags.Usage()
		return nil, errUsage
	}
	return flags.Args(), nil
}
