package emulator

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"sample-python-arm64-lambda/internal/local/sandbox"
)

// runner is the way back from moto to this process: moto tells it that it is ready, and has it run functions.
type runner struct {
	url    string // with a secret path, as it runs any code
	ready  chan int
	pool   *sandbox.Pool
	server *http.Server
	mu     sync.Mutex // of log
	log    io.Writer
}

func newRunner(pool *sandbox.Pool, log io.Writer) (*runner, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for moto: %w", err)
	}
	if log == nil {
		log = io.Discard
	}
	secret := rand.Text()
	r := &runner{url: fmt.Sprintf("http://%s/%s/", listener.Addr(), secret), ready: make(chan int, 1), pool: pool, log: log}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /"+secret+"/ready", r.serveReady)
	mux.HandleFunc("POST /"+secret+"/invoke", r.serveInvoke)
	r.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go r.server.Serve(listener) //nolint:errcheck // it ends with close
	return r, nil
}

func (r *runner) close() error {
	if err := r.server.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func (r *runner) serveReady(w http.ResponseWriter, req *http.Request) {
	var body struct{ Port int }
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case r.ready <- body.Port:
	default: // it was told already
	}
	io.WriteString(w, "{}") //nolint:errcheck // moto that is gone is noticed as such
}

// serveInvoke runs a function. An error here is not the function's: its text is what the caller of the Invoke API reads.
func (r *runner) serveInvoke(w http.ResponseWriter, req *http.Request) {
	var body struct {
		Function sandbox.Function
		ARN      string
		Payload  []byte
	}
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	result, err := r.pool.Invoke(req.Context(), body.Function, body.ARN, body.Payload)
	r.note(body.Function, result, err)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	json.NewEncoder(w).Encode(result) //nolint:errcheck // moto that is gone is noticed as such
}

// note writes the line of an invocation.
func (r *runner) note(f sandbox.Function, result sandbox.Result, err error) {
	outcome := "ok"
	if err != nil {
		outcome = err.Error()
	} else if result.FunctionError != "" {
		outcome = string(result.Payload)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.log, "invoked %s version %s as %s in %s: %s\n", f.Name, f.Version, f.Arch, result.Duration.Round(time.Millisecond), outcome) //nolint:errcheck // a remark
}
