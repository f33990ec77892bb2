package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// initLimit is how long a process may take until it asks for its first event. Lambda gives 10 s; under emulation a large
// import takes several times as long, so init has a limit of its own and does not count against the function's timeout.
const initLimit = 2 * time.Minute

// Instance is one execution environment of a function: one process, kept between invocations, which come one at a time.
type Instance struct {
	runtime      *Runtime
	function     Function
	dir          string // temporary, ours
	task, layers string
	logStream    string

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	mu     sync.Mutex // held by the invocation under way
	live   *execution // nil where the next invocation has to start a process
	closed bool
}

// Result is the outcome of one invocation.
type Result struct {
	RequestID     string
	Payload       []byte
	FunctionError string        // "" or "Unhandled"
	Events        []string      // log events as Lambda writes them; an event may be of several lines
	LogStream     string        // of the execution environment
	Duration      time.Duration // of the handler
	Init          time.Duration // of the process's start, where this invocation began with one
}

// Log is the log events as text.
func (r Result) Log() string { return strings.Join(r.Events, "\n") + "\n" }

// Start prepares an execution environment; its process is started by the first invocation, and again after it was
// killed or has ended. The environment is closed with ctx.
func (r *Runtime) Start(ctx context.Context, f Function) (i *Instance, err error) {
	dir, err := os.MkdirTemp("", "lambda-")
	if err != nil {
		return nil, err
	}
	i = &Instance{runtime: r, function: f, dir: dir, task: f.Dir, layers: filepath.Join(dir, "opt"), logStream: f.logStream()}
	i.ctx, i.cancel = context.WithCancel(ctx)
	if err := i.unpack(); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	context.AfterFunc(ctx, func() { i.Close() }) //nolint:errcheck // what is left is in the system's folder for temporary files
	return i, nil
}

func (i *Instance) unpack() (err error) {
	if i.task == "" {
		i.task = filepath.Join(i.dir, "task")
		if err := os.Mkdir(i.task, 0o755); err != nil {
			return err
		}
		if err := unzip(i.function.Zip, i.task); err != nil {
			return err
		}
	}
	if i.task, err = filepath.Abs(i.task); err != nil {
		return err
	}
	if err := os.Mkdir(i.layers, 0o755); err != nil {
		return err
	}
	for _, layer := range i.function.Layers {
		if err := unzip(layer, i.layers); err != nil {
			return err
		}
	}
	return nil
}

// Close kills the process and removes the environment's files. It may be called twice, and during an invocation.
func (i *Instance) Close() error {
	i.cancel()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return nil
	}
	i.closed = true
	return errors.Join(i.end(), os.RemoveAll(i.dir))
}

// end ends the process, if there is one.
func (i *Instance) end() error {
	if i.live == nil {
		return nil
	}
	x := i.live
	i.live = nil
	return x.close()
}

// Invoke hands the function one event, JSON, and waits for what it makes of it. What goes wrong in the function is in the
// result; an error means that it could not be run, or that ctx or the instance ended, which kills the process.
func (i *Instance) Invoke(ctx context.Context, payload []byte) (Result, error) {
	return i.InvokeAs(ctx, i.function.ARN, payload)
}

// InvokeAs is Invoke under the ARN that the caller used, such as an alias's, which the function finds in its context.
func (i *Instance) InvokeAs(ctx context.Context, arn string, payload []byte) (result Result, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	defer func() {
		if err != nil {
			err = fmt.Errorf("invoking %s: %w", i.function.Name, errors.Join(err, i.end()))
		}
	}()
	if err := errors.Join(ctx.Err(), i.ctx.Err()); err != nil {
		return result, err
	}
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	event := &invocation{id: newRequestID(), arn: arn, payload: payload}
	result = Result{RequestID: event.id, LogStream: i.logStream}
	begin := time.Now()
	x, failed, err := i.ready(ctx)
	if err == nil && failed == nil {
		if x.fresh {
			x.fresh, result.Init = false, time.Since(begin)
		}
		result.Events = append(x.lines(), i.function.startLine(event.id))
		begin = time.Now()
		failed, err = i.handle(ctx, x, event)
	}
	if err != nil && !errors.Is(err, errTimeout) && !errors.Is(err, errExited) {
		return result, err
	}
	result.Duration = time.Since(begin)
	return i.conclude(x, failed, err, result)
}

// ready returns a process that asks for an event, started now where there is none or the one there was has ended since;
// or the answer of one whose function cannot be initialised.
func (i *Instance) ready(ctx context.Context) (x *execution, failed *answer, err error) {
	for {
		if x = i.live; x == nil {
			if x, err = i.launch(); err != nil {
				return nil, nil, err
			}
			i.live = x
		}
		failed, err = i.await(ctx, x, x.api.ready, x.api.initError, initLimit)
		if !errors.Is(err, errExited) || x.fresh {
			return x, failed, err
		}
		if err := i.end(); err != nil {
			return nil, nil, err
		}
	}
}

// handle hands over the event and waits for the answer. The function's timeout begins here.
func (i *Instance) handle(ctx context.Context, x *execution, event *invocation) (*answer, error) {
	event.deadline = time.Now().Add(i.function.Timeout)
	x.api.pending.Store(event)
	select {
	case x.api.next <- event:
	case <-x.process.Done():
	}
	return i.await(ctx, x, nil, x.api.answers, i.function.Timeout)
}

var (
	errTimeout = errors.New("timed out")
	errExited  = errors.New("runtime exited")
)

// await waits until the process is ready (nil), has an answer, ends (errExited) or is too slow (errTimeout).
func (i *Instance) await(ctx context.Context, x *execution, ready <-chan struct{}, answers <-chan *answer, limit time.Duration) (*answer, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-ready:
		return nil, nil
	case a := <-answers:
		return a, nil
	case <-x.process.Done():
		select {
		case a := <-answers: // it answered, then ended
			return a, nil
		default:
			return nil, errExited
		}
	case <-timer.C:
		return nil, errTimeout
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-i.ctx.Done():
		return nil, i.ctx.Err()
	}
}

// conclude makes the result of an invocation from its answer, or from the lack of one. A process that was too slow, has
// ended or could not be initialised is not used again.
func (i *Instance) conclude(x *execution, got *answer, cause error, result Result) (Result, error) {
	initialised := len(result.Events) > 0
	fatal := cause != nil || !initialised
	status, note := "success", ""
	switch {
	case errors.Is(cause, errTimeout) && initialised:
		status, note = "timeout", fmt.Sprintf("%s %s Task timed out after %.2f seconds",
			time.Now().UTC().Format(timestamp), result.RequestID, i.function.Timeout.Seconds())
		got = failure("", note)
	case errors.Is(cause, errTimeout):
		status, note = "timeout", fmt.Sprintf("RequestId: %s Error: init took longer than %s", result.RequestID, initLimit)
		got = failure("Sandbox.Timedout", note)
	case errors.Is(cause, errExited):
		status, note = "error", fmt.Sprintf("RequestId: %s Error: %s", result.RequestID, exitReason(x.process.Err()))
		got = failure("Runtime.ExitError", note)
	case got.functionError != "":
		status = "error"
	}
	if fatal {
		x.process.Kill()
	}
	result.Payload, result.FunctionError = got.payload, got.functionError
	result.Events = append(result.Events, x.lines()...)
	if !initialised {
		result.Events = append(result.Events, i.function.startLine(result.RequestID))
	}
	if note != "" && i.function.LogFormat != "JSON" { // there the report has it
		result.Events = append(result.Events, note)
	}
	result.Events = append(result.Events, i.function.reportLines(status, result)...)
	if fatal {
		return result, i.end()
	}
	return result, nil
}

// exitReason is what Lambda says of a process that ended by itself.
func exitReason(err error) string {
	if err == nil {
		return "Runtime exited without providing a reason"
	}
	return "Runtime exited with error: " + err.Error()
}
