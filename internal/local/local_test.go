//go:build !windows

package local_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sample-python-arm64-lambda/internal/testtools"
)

// driver is the program of make local in a copy of the checkout.
type driver struct {
	t           *testing.T
	binary, dir string
}

func newDriver(t *testing.T) *driver {
	t.Helper()
	root := testtools.Root(t)
	d := &driver{t: t, binary: filepath.Join(t.TempDir(), "local"), dir: t.TempDir()}
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "local", "-o", d.binary, ".")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"Pulumi.yaml", "Pulumi.local.yaml", "requirements.txt", "src/main.py", "tools/go.mod", "tools/go.sum", "tools/requirements.txt", "tools/runtime.txt"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(d.dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d.dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { exec.Command(d.binary, "down").Run() }) //nolint:errcheck // a test that failed may have left it running
	return d
}

func (d *driver) command(verb ...string) *exec.Cmd {
	cmd := exec.CommandContext(d.t.Context(), d.binary, verb...)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "LOCAL_TOOLS_DIR="+testtools.Dir(d.t), "BUNDLE_CACHE_DIR="+filepath.Join(d.dir, "cache"))
	return cmd
}

// run runs a verb, which has to succeed, and returns what it printed.
func (d *driver) run(verb ...string) string {
	d.t.Helper()
	out, err := d.command(verb...).CombinedOutput()
	if err != nil {
		d.t.Fatalf("%q: %v\n%s", verb, err, out)
	}
	return string(out)
}

// pid returns the emulator's process.
func (d *driver) pid() int {
	d.t.Helper()
	data, err := os.ReadFile(filepath.Join(d.dir, ".local", "emulator.json"))
	if err != nil {
		d.t.Fatal(err)
	}
	var running struct{ PID int }
	if err := json.Unmarshal(data, &running); err != nil {
		d.t.Fatal(err)
	}
	return running.PID
}

// gone waits until a process has ended.
func gone(pid int) bool {
	for range 100 {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return true
		}
		time.Sleep(50 * time.Millisecond)
	}
	return false
}

const answer = `{"id": 1, "name": "John", "age": 30}`

func TestUpInvokeLogsDown(t *testing.T) {
	d := newDriver(t)
	out := d.run("up")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); lines[len(lines)-1] != answer || !strings.Contains(out, "aarch64") {
		t.Errorf("up does not end with the answer, run as aarch64:\n%s", out)
	}
	pid := d.pid()
	if out := d.run("invoke", `{"any": "event"}`); !strings.HasSuffix(strings.TrimSpace(out), answer) {
		t.Errorf("invoke:\n%s", out)
	}
	if out := d.run("logs"); strings.Count(out, "platform.report") < 3 {
		t.Errorf("logs has not all of the invocations:\n%s", out)
	}
	if out := d.run(); !strings.Contains(out, "unchanged") || d.pid() != pid {
		t.Errorf("a second up does not find the first one's account:\n%s", out)
	}
	d.run("down")
	if !gone(pid) {
		t.Errorf("the emulator's process %d lives on", pid)
	}
	if _, err := os.Stat(filepath.Join(d.dir, ".local")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("down left .local: %v", err)
	}
	if out, err := d.command("invoke").CombinedOutput(); err == nil || !strings.Contains(string(out), "start it with make local") {
		t.Errorf("invoke after down: %v\n%s", err, out)
	}
}

func TestAnInterruptedUpLeavesNothing(t *testing.T) {
	d := newDriver(t)
	cmd := d.command("up")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 600 { // until the emulator runs, so that there is something to leave behind
		if _, err := os.Stat(filepath.Join(d.dir, ".local", "emulator.json")); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	pid := d.pid()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("got %v, want exit 130\n%s", err, &out)
	}
	if !gone(pid) {
		t.Errorf("the emulator's process %d lives on", pid)
	}
	if _, err := os.Stat(filepath.Join(d.dir, ".local")); !errors.Is(err, fs.ErrNotExist) {
		left, _ := exec.Command("find", filepath.Join(d.dir, ".local")).Output() //nolint:errcheck // only shown
		t.Errorf(".local is left: %v\n%s%s", err, left, &out)
	}
}

func TestWrongUsage(t *testing.T) {
	d := newDriver(t)
	for _, verb := range [][]string{{"upp"}, {"up", "x"}, {"invoke", "{}", "{}"}} {
		out, err := d.command(verb...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "usage: make local") {
			t.Errorf("%q: %v\n%s", verb, err, out)
		}
	}
}
