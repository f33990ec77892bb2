// Command ci is what the jobs in .github/workflows do beyond make targets: it reads the event, starts the Pulumi CLI, and
// writes outputs, summaries, annotations, the pull request's comment and the drift issue. See docs/ci.md.
//
// Exit codes: 0 done, 1 it failed, 2 wrong usage.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
)

const usage = `usage: ci COMMAND [FLAGS] [ARGUMENT]...

commands:
  plan                      which stacks a pull request affects, and whether it may see the cloud (outputs stacks, cloud)
  bundle   -stack S         make the bundle here and at the base: annotations, and the difference in the summary
  preview  -stack S -o F    preview a stack, and write what changes as Markdown
  comment  DIR              write the pull request's one comment from such files in a folder
  up       -stack S         deploy a stack (-sha256: that bundle only; -like: with the settings of another stack)
  down     -stack S         destroy a stack and remove it
  recover  -stack S         unlock a stack whose deployment was killed, and take what it created into the state
  drift    STACK...         compare stacks with the account, and open, update or close the one issue about it
`

// ci is one run: the job's environment, where its output goes, and the flags.
type ci struct {
	ctx    context.Context
	env    func(string) string
	stdout io.Writer
	stderr io.Writer

	stack, like, sha256, out string
}

var commands = map[string]func(*ci, []string) error{
	"plan": (*ci).plan, "bundle": (*ci).bundle, "preview": (*ci).preview, "comment": (*ci).comment, "up": (*ci).up, "down": (*ci).down,
	"drift": (*ci).drift, "recover": (*ci).recover,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	c := &ci{ctx: ctx, env: os.Getenv, stdout: os.Stdout, stderr: os.Stderr}
	code := 1
	if err := useAccount(); err != nil {
		fmt.Fprintln(os.Stderr, "ci:", err)
	} else {
		code = c.run(os.Args[1:])
	}
	stop()
	os.Exit(code)
}

func (c *ci) run(args []string) int {
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprint(c.stderr, usage)
		return 2
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(c.stderr)
	flags.StringVar(&c.stack, "stack", "", "`STACK` to work on")
	flags.StringVar(&c.like, "like", "", "take the settings of this `STACK` where the stack has none")
	flags.StringVar(&c.sha256, "sha256", "", "deploy the bundle with this `DIGEST` only, as the output sha256 of another deployment has it")
	flags.StringVar(&c.out, "o", "", "Markdown `FILE` to write")
	if err := flags.Parse(args[1:]); err != nil {
		return 2
	}
	if err := commands[args[0]](c, flags.Args()); err != nil {
		if !errors.Is(err, errTold) {
			c.annotate("error", place{}, "ci "+args[0], err.Error())
		}
		return 1
	}
	return 0
}

// errTold is an error whose text was printed already.
var errTold = errors.New("see above")

// start runs a program and returns what it prints on stdout, also where it fails; the error has what it says on stderr.
func (c *ci) start(name string, args ...string) (string, error) {
	var said bytes.Buffer
	cmd := exec.CommandContext(c.ctx, name, args...)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("running %s %s: %w\n%s", name, strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	_, err = said.WriteTo(c.stderr)
	return string(out), err
}

// output sets an output of the step; it is printed where the job has no file for it.
func (c *ci) output(name, value string) error {
	return c.appendTo("GITHUB_OUTPUT", name+"="+value+"\n")
}

// summary adds Markdown to the job's summary.
func (c *ci) summary(text string) error { return c.appendTo("GITHUB_STEP_SUMMARY", text+"\n") }

func (c *ci) appendTo(variable, text string) (err error) {
	name := c.env(variable)
	if name == "" {
		_, err := io.WriteString(c.stdout, text)
		return err
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}
