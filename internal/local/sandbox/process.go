package sandbox

import (
	"os/exec"
	"runtime"
)

// Process is a child process that does not outlive this one, with everything it started itself.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// StartProcess starts a command in a process group of its own. On Linux the kernel kills it when this process dies.
// Output goes to files only (*os.File), so that a grandchild which keeps them open delays nothing.
func StartProcess(cmd *exec.Cmd) (*Process, error) {
	contain(cmd)
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel's promise is tied to the thread that forks (prctl(2), PR_SET_PDEATHSIG): keep it while the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		killGroup(cmd)
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the process ended, once it is done: nil for exit code 0, else an *exec.ExitError.
func (p *Process) Err() error { return p.err }

// Kill ends the process and its children at once and waits until it is gone.
func (p *Process) Kill() {
	select {
	case <-p.done:
	default:
		killGroup(p.cmd)
		<-p.done
	}
}
