// Package local is the embedded default: it deploys a program to an emulated AWS account on this machine and runs the
// function as the code of its own architecture. The engine, the program and the bundle are the real ones; only the
// account is not.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const usage = `usage: make local            deploy to an emulated account on this machine, and invoke the function
       go run -tags local . VERB

verbs:
  up               start the emulator where it is not running, deploy stack "local", invoke what was deployed (default)
  invoke [EVENT]   invoke each function with a JSON event, {} where it is left out
  logs             print the functions' logs
  down             stop the emulator; the emulated account is gone with it
`

// Local is a checkout with its local stack.
type Local struct {
	program pulumi.RunFunc
	root    string // the project's folder
	tools   string // folder of the tools, kept between runs
	state   string // folder of the emulated account, gone with it
	out     io.Writer
}

// Main runs one verb for the project in the working directory and returns the process's exit code.
func Main(program pulumi.RunFunc, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := newLocal(program)
	if err == nil {
		err = l.run(ctx, args)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprint(os.Stderr, usage)
		return 2
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "local: stopped")
		return 130
	}
	fmt.Fprintln(os.Stderr, "local: "+err.Error())
	return 1
}

var errUsage = errors.New("wrong usage")

func newLocal(program pulumi.RunFunc) (*Local, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(root, "Pulumi.yaml")); err != nil {
		return nil, fmt.Errorf("this is no Pulumi project: %w (run it from the project's folder)", err)
	}
	tools := os.Getenv("LOCAL_TOOLS_DIR")
	if tools == "" {
		tools = filepath.Join(root, ".tools")
	}
	return New(program, root, tools, os.Stdout), nil
}

// New returns the local stack of the project in folder root. Tools are kept in the folder tools, the emulated account in
// root's .local; what is done is told to out.
func New(program pulumi.RunFunc, root, tools string, out io.Writer) *Local {
	return &Local{program: program, root: root, tools: tools, state: filepath.Join(root, ".local"), out: out}
}

func (l *Local) run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		args = []string{"up"}
	}
	switch verb, rest := args[0], args[1:]; {
	case verb == "up" && len(rest) == 0:
		return l.up(ctx)
	case verb == "invoke" && len(rest) <= 1:
		event := "{}"
		if len(rest) == 1 {
			event = rest[0]
		}
		return l.invoke(ctx, event)
	case verb == "logs" && len(rest) == 0:
		return l.logs(ctx)
	case verb == "down" && len(rest) == 0:
		return l.down()
	case verb == serveVerb && len(rest) == 0:
		return l.serve(ctx)
	}
	return errUsage
}

// say tells what is being done.
func (l *Local) say(line string) { fmt.Fprintln(l.out, "==> "+line) }

// up brings the emulator up, deploys, and invokes what was deployed.
func (l *Local) up(ctx context.Context) error {
	if err := l.prepareTools(ctx); err != nil {
		return err
	}
	daemon, started, err := l.ensureDaemon(ctx)
	if err == nil {
		err = l.deploy(ctx, daemon.URL)
	}
	if err != nil && started { // nothing was deployed that anyone could look at
		err = errors.Join(err, l.down())
	}
	if err != nil {
		return err
	}
	return l.show(ctx, daemon)
}

// show invokes the functions and says how to go on.
func (l *Local) show(ctx context.Context, d *daemon) error {
	names, err := l.functionNames()
	if err != nil {
		return err
	}
	region, err := l.region()
	if err != nil {
		return err
	}
	fmt.Fprintf(l.out, `
The emulated account is at %[1]s until "make local-down" (any credentials will do):
    aws --endpoint-url %[1]s --region %[3]s lambda invoke --function-name %[2]s:live /dev/stdout
    curl -d '{}' %[1]s/2015-03-31/functions/%[2]s:live/invocations

`, d.URL, names[0], region)
	for _, name := range names {
		l.say("invoking " + name)
		if err := l.invokeAt(ctx, d.URL, name, "{}"); err != nil {
			return err
		}
	}
	return nil
}
