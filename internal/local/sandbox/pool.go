package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// idleLimit is how long an instance is kept without an invocation.
const idleLimit = 5 * time.Minute

// Pool keeps one warm instance for each version of each function, and replaces it when the version's code or configuration
// is another: that is told by the Function as a whole, so a package's file has to be named by its content. Invocations of
// one version come one after the other.
type Pool struct {
	options  Options
	ctx      context.Context
	cancel   context.CancelFunc
	making   sync.Mutex // of runtimes
	runtimes map[string]*Runtime
	mu       sync.Mutex       // of warm
	warm     map[string]*warm // by ARN
}

// warm is an instance and when to let it go.
type warm struct {
	key      [sha256.Size]byte
	instance *Instance
	idle     *time.Timer
}

// NewPool returns a pool whose runtimes are made with the options, when they are first needed.
func NewPool(o Options) *Pool {
	p := &Pool{options: o, runtimes: map[string]*Runtime{}, warm: map[string]*warm{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// runtime provides a runtime as Ensure does, once; after an error the next call tries again.
func (p *Pool) runtime(f Function) (*Runtime, error) {
	p.making.Lock()
	defer p.making.Unlock()
	key := f.Runtime + " " + f.Arch
	if r := p.runtimes[key]; r != nil {
		return r, nil
	}
	r, err := Ensure(p.ctx, p.options, f.Runtime, f.Arch)
	if err == nil {
		p.runtimes[key] = r
	}
	return r, err
}

// Invoke runs a function version with an event, in its warm instance where there is one. The ARN is the one that the
// caller used; empty is the version's own.
func (p *Pool) Invoke(ctx context.Context, f Function, arn string, payload []byte) (Result, error) {
	r, err := p.runtime(f)
	if err != nil {
		return Result{}, err
	}
	i, err := p.instance(r, f)
	if err != nil {
		return Result{}, err
	}
	if arn == "" {
		arn = f.ARN
	}
	return i.InvokeAs(ctx, arn, payload)
}

// instance returns the warm instance of a function version, or starts one.
func (p *Pool) instance(r *Runtime, f Function) (*Instance, error) {
	config, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256(config)
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.warm[f.ARN]; w != nil {
		if w.key == key {
			w.idle.Reset(idleLimit + f.Timeout)
			return w.instance, nil
		}
		delete(p.warm, f.ARN)
		w.idle.Reset(initLimit + f.Timeout) // what it is doing may end
	}
	i, err := r.Start(p.ctx, f)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", f.Name, err)
	}
	w := &warm{key: key, instance: i}
	w.idle = time.AfterFunc(idleLimit+f.Timeout, func() { p.drop(f.ARN, w) })
	p.warm[f.ARN] = w
	return i, nil
}

// drop closes an instance that was idle.
func (p *Pool) drop(arn string, w *warm) {
	p.mu.Lock()
	if p.warm[arn] == w {
		delete(p.warm, arn)
	}
	p.mu.Unlock()
	w.instance.Close() //nolint:errcheck // what is left is in the system's folder for temporary files
}

// Close closes every instance. The pool is of no use afterwards.
func (p *Pool) Close() error {
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for arn, w := range p.warm {
		w.idle.Stop()
		errs = append(errs, w.instance.Close())
		delete(p.warm, arn)
	}
	return errors.Join(errs...)
}
