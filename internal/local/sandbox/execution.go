package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// execution is one process of a function with what belongs to it.
type execution struct {
	process   *Process
	api       *runtimeAPI
	log       *outputLog
	container string // name of the process's container, if it has one
	fresh     bool   // it has not been given an event yet
}

// launch starts a process for the instance.
func (i *Instance) launch() (x *execution, err error) {
	x = &execution{fresh: true}
	if x.api, err = newRuntimeAPI(); err != nil {
		return nil, err
	}
	if x.log, err = newOutputLog(); err != nil {
		return nil, errors.Join(err, x.api.close())
	}
	var command []string
	var cmd exec.Cmd
	command, cmd.Env, x.container = i.command(fmt.Sprintf("%s:%d", i.runtime.host(), x.api.port()))
	if cmd.Path, err = exec.LookPath(command[0]); err == nil {
		cmd.Args, cmd.Dir, cmd.Stdout, cmd.Stderr = command, i.task, x.log.writer, x.log.writer
		x.process, err = StartProcess(&cmd)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the runtime: %w", err), x.api.close(), x.log.close())
	}
	return x, nil
}

// lines returns the events that the process printed since it was called last. Docker passes output on in its own time:
// there it is complete when nothing came for a moment.
func (x *execution) lines() []string {
	for size := -1; x.container != "" && size != x.log.size(); time.Sleep(50 * time.Millisecond) {
		size = x.log.size()
	}
	return x.log.take()
}

// close ends the process, if it has not ended by itself.
func (x *execution) close() error {
	x.process.Kill()
	if x.container != "" { // docker removes the container of a process that ended, so that this may find none
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		exec.CommandContext(ctx, "docker", "rm", "--force", x.container).Run() //nolint:errcheck // see above
	}
	return errors.Join(x.api.close(), x.log.close())
}
