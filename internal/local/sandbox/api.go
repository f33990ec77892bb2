package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// maxResponse is the largest response of a synchronous invocation, in bytes (AWS Lambda quota).
const maxResponse = 6291556

// invocation is one event on its way to the function.
type invocation struct {
	id       string
	arn      string
	payload  []byte
	deadline time.Time
}

// answer is what the function made of it.
type answer struct {
	payload       []byte
	functionError string // "" or "Unhandled"
}

// failure is the answer to an invocation that the function did not give itself.
func failure(errorType, message string) *answer {
	body := struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType,omitempty"`
	}{message, errorType}
	payload, err := json.Marshal(body)
	if err != nil {
		payload = []byte(err.Error()) // strings: it does not fail
	}
	return &answer{payload, "Unhandled"}
}

// runtimeAPI is the HTTP interface between Lambda and the process of a runtime, for the life of one process:
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type runtimeAPI struct {
	server    *http.Server
	listener  net.Listener
	ready     chan struct{}    // sent when the process asks for an event
	next      chan *invocation // taken by the process that asked
	pending   atomic.Pointer[invocation]
	answers   chan *answer
	initError chan *answer
}

func newRuntimeAPI() (*runtimeAPI, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serving the Runtime API: %w", err)
	}
	a := &runtimeAPI{
		listener: listener, ready: make(chan struct{}), next: make(chan *invocation),
		answers: make(chan *answer, 1), initError: make(chan *answer, 1),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", a.serveNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) { a.serveAnswer(w, r, "") })
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) { a.serveAnswer(w, r, "Unhandled") })
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", a.serveInitError)
	a.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go a.server.Serve(listener) //nolint:errcheck // it ends with close
	return a, nil
}

// port is the loopback port of the API.
func (a *runtimeAPI) port() int { return a.listener.Addr().(*net.TCPAddr).Port }

func (a *runtimeAPI) close() error {
	if err := a.server.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// serveNext says that the process is ready, and keeps it waiting until there is an event.
func (a *runtimeAPI) serveNext(w http.ResponseWriter, r *http.Request) {
	select {
	case a.ready <- struct{}{}:
	case <-r.Context().Done():
		return
	}
	select {
	case i := <-a.next:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", i.id)
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", i.arn)
		w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(i.deadline.UnixMilli(), 10))
		w.Header().Set("Lambda-Runtime-Trace-Id", fmt.Sprintf("Root=1-%08x-%s;Sampled=0", time.Now().Unix(), newID()[:24]))
		w.Write(i.payload) //nolint:errcheck // a process that is gone is noticed as such
	case <-r.Context().Done():
	}
}

func (a *runtimeAPI) serveAnswer(w http.ResponseWriter, r *http.Request, functionError string) {
	i := a.pending.Load()
	if i == nil || i.id != r.PathValue("id") {
		http.Error(w, `{"errorType":"InvalidRequestID","errorMessage":"Invalid request ID"}`, http.StatusBadRequest)
		return
	}
	payload, err := io.ReadAll(io.LimitReader(r.Body, maxResponse+1))
	if err != nil {
		return
	}
	got := &answer{payload, functionError}
	if len(payload) > maxResponse {
		got = failure("Function.ResponseSizeTooLarge",
			fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxResponse))
	}
	if a.pending.CompareAndSwap(i, nil) {
		a.answers <- got
	}
	w.WriteHeader(http.StatusAccepted)
}

func (a *runtimeAPI) serveInitError(w http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(io.LimitReader(r.Body, maxResponse))
	if err != nil {
		return
	}
	select {
	case a.initError <- &answer{payload, "Unhandled"}:
	default: // it was told already
	}
	w.WriteHeader(http.StatusAccepted)
}
