package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// transfer is what went through read and write calls, in bytes.
type transfer struct{ read, written int64 }

// ioOfChildren returns this process's counters, to which the kernel adds those of every child that it waited for, and
// of theirs (proc_pid_io(5); kernel copies count too).
func ioOfChildren() transfer {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return transfer{}
	}
	return transfer{field(string(text), "rchar:"), field(string(text), "wchar:")}
}

// field returns the number behind a name in one of proc's files; 0 where there is none.
func field(text, name string) int64 {
	_, rest, found := strings.Cut("\n"+text, "\n"+name)
	words := strings.Fields(rest)
	if !found || len(words) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(words[0], 10, 64)
	return n
}

// watchMemory asks for the process's own high-water mark (VmHWM, proc_pid_status(5)) as often as it can until it is
// told to stop. What rusage says is no use: it is the biggest of the process, its children, and who started it.
func watchMemory(ctx context.Context, pid int, name string) int64 {
	file, peak := fmt.Sprintf("/proc/%d/status", pid), int64(0)
	for ctx.Err() == nil {
		text, err := os.ReadFile(file)
		if err == nil && strings.HasPrefix(string(text), "Name:\t"+name[:min(len(name), 15)]+"\n") { // after exec
			peak = max(peak, field(string(text), "VmHWM:")<<10)
		}
		time.Sleep(200 * time.Microsecond)
	}
	return peak
}

// flush lets the kernel write what it holds, so that it does not during the next measurement.
func flush() { syscall.Sync() }

// machine describes the hardware and the kernel.
func machine() string {
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	memory, _ := os.ReadFile("/proc/meminfo")
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	_, model, _ := strings.Cut(string(cpu), "model name\t: ")
	model, _, _ = strings.Cut(model, "\n")
	kernel, _, _ := strings.Cut(strings.TrimSpace(string(release)), "-")
	return strings.TrimPrefix(fmt.Sprintf("%s, %d GB of memory, Linux %s", model, field(string(memory), "MemTotal:")>>20, kernel), ", ")
}
