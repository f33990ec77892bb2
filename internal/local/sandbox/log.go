package sandbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// mark is what we write into the function's output ourselves, so that all before it is known to have been read.
const mark = "\x00"

// outputLog collects what a process prints. It reads on at any time: a process must not stand still on a full pipe.
type outputLog struct {
	reader, writer *os.File // the process has a copy of writer
	mu             sync.Mutex
	lines          []string
	marks          chan struct{} // sent at each mark; closed when there is nothing more to read
}

func newOutputLog() (*outputLog, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("opening the function's output: %w", err)
	}
	o := &outputLog{reader: r, writer: w, marks: make(chan struct{}, 1)}
	go o.read()
	return o, nil
}

func (o *outputLog) read() {
	defer close(o.marks)
	buffer := bufio.NewReader(o.reader)
	for {
		line, err := buffer.ReadString('\n')
		text, _, marked := strings.Cut(strings.TrimSuffix(line, "\n"), mark)
		if text != "" || !marked && err == nil {
			o.mu.Lock()
			o.lines = append(o.lines, strings.ReplaceAll(text, "\r", "\n")) // awslambdaric joins the lines of one event so
			o.mu.Unlock()
		}
		if marked {
			o.marks <- struct{}{}
		}
		if err != nil {
			return
		}
	}
}

// take returns the events that were printed since it was called last.
func (o *outputLog) take() []string {
	if _, err := o.writer.WriteString(mark + "\n"); err == nil {
		<-o.marks
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	lines := o.lines
	o.lines = nil
	return lines
}

// size is the number of events that take would return at least.
func (o *outputLog) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.lines)
}

func (o *outputLog) close() error { return errors.Join(o.writer.Close(), o.reader.Close()) }

// startLine and reportLines are the platform's own lines around an invocation, in the function's log format.
func (f Function) startLine(id string) string {
	if f.LogFormat != "JSON" {
		return fmt.Sprintf("START RequestId: %s Version: %s", id, f.Version)
	}
	return platformEvent("platform.start", map[string]any{"requestId": id, "version": f.Version})
}

func (f Function) reportLines(status string, r Result) []string {
	milliseconds := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	billed := (r.Duration + time.Millisecond - 1).Milliseconds()
	if f.LogFormat == "JSON" {
		return []string{platformEvent("platform.report", map[string]any{"requestId": r.RequestID, "status": status, "metrics": map[string]any{
			"durationMs": milliseconds(r.Duration), "billedDurationMs": billed, "initDurationMs": milliseconds(r.Init), "memorySizeMB": f.MemoryMB,
		}})}
	}
	report := fmt.Sprintf("REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB",
		r.RequestID, milliseconds(r.Duration), billed, f.MemoryMB)
	if r.Init > 0 {
		report += fmt.Sprintf("\tInit Duration: %.2f ms", milliseconds(r.Init))
	}
	if status == "timeout" {
		report += "\tStatus: timeout"
	}
	return []string{"END RequestId: " + r.RequestID, report}
}

// timestamp is Lambda's format of UTC times.
const timestamp = "2006-01-02T15:04:05.000Z"

func platformEvent(kind string, record map[string]any) string {
	event, err := json.Marshal(map[string]any{"time": time.Now().UTC().Format(timestamp), "type": kind, "record": record})
	if err != nil {
		return err.Error() // numbers and strings: it does not fail
	}
	return string(event)
}
