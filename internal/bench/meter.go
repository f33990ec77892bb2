package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// command is a process to run.
type command struct {
	dir  string
	env  []string // added to the bench's
	args []string
}

// sample is what one run took.
type sample struct {
	wall, cpu     time.Duration // cpu is user and system time of the process and all that it waited for
	read, written int64         // bytes through read and write calls of the same processes; 0 where it is not known
	memory        int64         // the peak resident bytes of the first process alone; 0 where it is not known
}

// do runs a command that is not measured.
func (b *bench) do(c command) error {
	_, err := b.run(c)
	return err
}

// run runs a command to its end.
func (b *bench) run(c command) (*os.ProcessState, error) {
	cmd := b.exec(c)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("running %s %s: %w\n%s", filepath.Base(c.args[0]), strings.Join(c.args[1:], " "), errors.Join(err, b.ctx.Err()), out)
	}
	return cmd.ProcessState, nil
}

func (b *bench) exec(c command) *exec.Cmd {
	cmd := exec.CommandContext(b.ctx, c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Env = c.dir, slices.Concat(b.env, c.env)
	if found, err := b.look(c); err == nil {
		cmd.Path, cmd.Err = found, nil
	}
	return cmd
}

// look finds a program on the PATH that it is given.
func (b *bench) look(c command) (string, error) {
	if filepath.Base(c.args[0]) != c.args[0] {
		return c.args[0], nil
	}
	path := ""
	for _, v := range slices.Concat(b.env, c.env) {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			path = value
		}
	}
	for _, dir := range filepath.SplitList(path) {
		if file, err := exec.LookPath(filepath.Join(dir, c.args[0])); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("there is no %s on PATH", c.args[0])
}

// job is something that is measured. Its commands may depend on what those before them made.
type job func(run func(command) error) error

// commands is a job of fixed commands.
func commands(all ...command) job {
	return func(run func(command) error) error {
		for _, c := range all {
			if err := run(c); err != nil {
				return err
			}
		}
		return nil
	}
}

// measure does a job once.
func (b *bench) measure(do job) (sample, error) {
	flush() // what was written before this is no part of it
	var s sample
	before := ioOfChildren()
	start := time.Now()
	err := do(func(c command) error {
		state, err := b.run(c)
		if err == nil {
			s.cpu += state.UserTime() + state.SystemTime()
		}
		return err
	})
	s.wall = time.Since(start)
	after := ioOfChildren()
	s.read, s.written = after.read-before.read, after.written-before.written
	return s, err
}

// scenario is a case of one tool: what is done before each run, and what is measured.
type scenario struct {
	name    string
	prepare func() error
	do      job
	zip     string        // what it makes
	budget  time.Duration // no further run is begun after it; 0 for none
	watch   *command      // the command whose memory is looked at, in one more run
}

// add measures a scenario and adds its row.
func (b *bench) add(workload, tool string, s scenario) error {
	b.say(fmt.Sprintf("%s: %s, %s", workload, tool, s.name))
	r := result{workload: workload, tool: tool, scenario: s.name}
	var all []sample
	for begun := time.Now(); len(all) < b.runs && (len(all) == 0 || s.budget == 0 || time.Since(begun) < s.budget); {
		if err := s.prepare(); err != nil {
			return err
		}
		one, err := b.measure(s.do)
		if err != nil {
			return err
		}
		all = append(all, one)
	}
	r.runs, r.median = len(all), medianOf(all)
	if s.watch != nil {
		if err := s.prepare(); err != nil {
			return err
		}
		var err error
		if r.median.memory, err = b.peak(*s.watch); err != nil {
			return err
		}
	}
	if info, err := os.Stat(s.zip); err == nil {
		r.zip = info.Size()
	}
	b.results = append(b.results, r)
	return nil
}

// peak runs a command and returns the peak memory of its process, without its children's.
func (b *bench) peak(c command) (int64, error) {
	cmd := b.exec(c)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ctx, stop := context.WithCancel(b.ctx)
	peak := make(chan int64, 1)
	go func() { peak <- watchMemory(ctx, cmd.Process.Pid, filepath.Base(c.args[0])) }()
	err := cmd.Wait()
	stop()
	if err != nil {
		return 0, fmt.Errorf("running %s: %w", strings.Join(c.args, " "), err)
	}
	return <-peak, nil
}

// medianOf takes the median of each measure by itself.
func medianOf(all []sample) sample {
	return sample{
		wall: middle(all, func(s sample) time.Duration { return s.wall }), cpu: middle(all, func(s sample) time.Duration { return s.cpu }),
		read: middle(all, func(s sample) int64 { return s.read }), written: middle(all, func(s sample) int64 { return s.written }),
	}
}

func middle[T cmp.Ordered](all []sample, of func(sample) T) T {
	values := make([]T, len(all))
	for i, s := range all {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
