package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// programShare is what the Pulumi program itself takes of a preview in which nothing changed.
type programShare struct {
	first, whole time.Duration // from its start to its first resource, and to its end
	resources    int
	layers       []layerShare
	reason       string // why it was not measured
}

// layerShare is a program whose function has one changed line, with its dependencies in a layer or in the function.
type layerShare struct {
	workload string
	layer    bool
	whole    time.Duration
	upload   int64 // bytes that Lambda does not have yet
}

// engine answers the program at once, as the Pulumi engine would in a preview: every resource is as it was asked for.
type engine struct {
	pulumirpc.UnimplementedResourceMonitorServer
	pulumirpc.UnimplementedEngineServer

	mu        sync.Mutex
	first     time.Time // when the first resource but the stack was registered
	resources int
	errors    []string
}

func (e *engine) SupportsFeature(context.Context, *pulumirpc.SupportsFeatureRequest) (*pulumirpc.SupportsFeatureResponse, error) {
	return &pulumirpc.SupportsFeatureResponse{HasSupport: true}, nil
}

func (e *engine) RegisterResource(_ context.Context, r *pulumirpc.RegisterResourceRequest) (*pulumirpc.RegisterResourceResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.Type != "pulumi:pulumi:Stack" {
		e.resources++
		if e.first.IsZero() {
			e.first = time.Now()
		}
	}
	return &pulumirpc.RegisterResourceResponse{Urn: "urn:pulumi:bench::bench::" + r.Type + "::" + r.Name, Id: r.Name, Object: r.Object}, nil
}

func (e *engine) RegisterResourceOutputs(context.Context, *pulumirpc.RegisterResourceOutputsRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (e *engine) SignalAndWaitForShutdown(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// Invoke knows what the program asks of AWS.
func (e *engine) Invoke(context.Context, *pulumirpc.ResourceInvokeRequest) (*pulumirpc.ResourceInvokeResponse, error) {
	out, err := structpb.NewStruct(map[string]any{
		"id": "us-east-1", "name": "us-east-1", "accountId": "000000000000", "partition": "aws", "json": "{}",
	})
	return &pulumirpc.ResourceInvokeResponse{Return: out}, err
}

func (e *engine) Log(_ context.Context, r *pulumirpc.LogRequest) (*emptypb.Empty, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.Severity == pulumirpc.LogSeverity_ERROR {
		e.errors = append(e.errors, r.Message)
	}
	return &emptypb.Empty{}, nil
}

// serve answers on a loopback port until the context ends.
func (e *engine) serve(ctx context.Context) (address string, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := grpc.NewServer()
	pulumirpc.RegisterResourceMonitorServer(server, e)
	pulumirpc.RegisterEngineServer(server, e)
	go server.Serve(listener) //nolint:errcheck // ends with Stop
	context.AfterFunc(ctx, server.Stop)
	return listener.Addr().String(), nil
}

// measureProgram measures the program, or says why it cannot be.
func (b *bench) measureProgram() {
	if err := errors.Join(b.runProgram(), b.runLayers()); err != nil {
		b.program.reason = b.reason(err)
		b.say("the program cannot be measured: " + b.program.reason)
	}
}

func (b *bench) runProgram() error {
	b.say("the program: nothing changed")
	c := checkout{dir: filepath.Join(b.dir, "program"), requirements: "requirements.txt", source: "src/main.py"}
	binary := b.stackBinary()
	if err := errors.Join(c.write(requirements("sample")), b.do(command{dir: b.root, args: []string{"go", "build", "-o", binary, "."}})); err != nil {
		return err
	}
	var all []sample
	var first []sample
	for range b.runs + 1 { // the first makes the dependency cache
		e := &engine{}
		one, err := b.programOnce(e, c.dir, "{}")
		if err != nil {
			return err
		}
		all, first = append(all, one[0]), append(first, one[1])
		b.program.resources = e.resources
	}
	b.program.whole, b.program.first = medianOf(all[1:]).wall, medianOf(first[1:]).wall
	return nil
}

// stackBinary is the built program.
func (b *bench) stackBinary() string { return filepath.Join(b.dir, "stack") }

// runLayers measures the program after a changed line, with and without a layer, for a small and a large function. Both go
// through a bucket, because the large one has to.
func (b *bench) runLayers() error {
	for _, w := range workloads[:2] {
		for _, layer := range []bool{false, true} {
			b.say(fmt.Sprintf("the program: %s, one line changed, layer: %t", w.name, layer))
			c := checkout{dir: filepath.Join(b.dir, "program-"+w.name), requirements: "requirements.txt", source: "src/main.py"}
			if err := c.write(requirements(w.name)); err != nil {
				return err
			}
			settings := fmt.Sprintf(`{"%[1]s:artifactBucket": "bench", "%[1]s:layer": "%[2]t"}`, projectName, layer)
			var all []sample
			for range b.runs + 1 { // the first makes the dependency cache
				if err := c.edit(); err != nil {
					return err
				}
				one, err := b.programOnce(&engine{}, c.dir, settings)
				if err != nil {
					return err
				}
				all = append(all, one[0])
			}
			zip, err := os.Stat(filepath.Join(c.dir, "dist", projectName+"-bench.zip"))
			if err != nil {
				return err
			}
			b.program.layers = append(b.program.layers, layerShare{w.name, layer, medianOf(all[1:]).wall, zip.Size()})
		}
		if err := removeAll(filepath.Join(b.dir, "program-"+w.name)); err != nil {
			return err
		}
	}
	return nil
}

// projectName is Pulumi.yaml's.
const projectName = "sample-python-arm64-lambda"

// programOnce runs the program against an engine; the samples are of the whole, and of the part before the first resource.
func (b *bench) programOnce(e *engine, dir, settings string) (both [2]sample, err error) {
	ctx, stop := context.WithCancel(b.ctx)
	defer stop()
	address, err := e.serve(ctx)
	if err != nil {
		return both, err
	}
	run := commands(command{dir, []string{
		"PULUMI_PROJECT=" + projectName, "PULUMI_STACK=bench", "PULUMI_CONFIG=" + settings, "PULUMI_DRY_RUN=true", "PULUMI_PARALLEL=16",
		"PULUMI_MONITOR=" + address, "PULUMI_ENGINE=" + address, "BUNDLE_CACHE_DIR=" + filepath.Join(dir, "cache"), "UV_CACHE_DIR=" + filepath.Join(dir, "uv"),
	}, []string{b.stackBinary()}})
	var begun time.Time
	both[0], err = b.measure(func(do func(command) error) error { begun = time.Now(); return run(do) })
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil || e.first.IsZero() {
		return both, fmt.Errorf("%w: %s", errors.Join(err, errors.New("the program registered nothing")), strings.Join(e.errors, " "))
	}
	both[1].wall = e.first.Sub(begun)
	return both, nil
}
