// Package stack reads the settings of a stack: its Pulumi configuration, defaulted and checked. Whatever is wrong is
// told at once, before any resource is registered.
package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"

	"sample-python-arm64-lambda/bundle"
	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
)

// Settings is the checked configuration of a stack.
type Settings struct {
	FunctionName     string
	Handler          string
	Target           target.Target
	Source           string
	Requirements     string
	Exclude          []string
	Builder          bundle.Builder
	MemorySize       int // MB
	Timeout          int // seconds
	Environment      pulumi.StringMap
	LogRetentionDays int
	// SmokeTest is an event, and the result that a new version has to return before it gets traffic; nil for none.
	SmokeTest *SmokeTest
	// CanaryWeight is the share of calls that the newest version gets; 0 for all.
	CanaryWeight float64
	// LiveVersion pins the alias to a version; empty for the newest.
	LiveVersion string
	// Registry is the repository that keeps the docker builder's image, Image takes the tree from an image that is
	// there already; both optional.
	Registry, Image string
	// VerifyIgnore waives findings of the verification.
	VerifyIgnore []verify.Waiver
	// ArtifactBucket is the bucket that the zip goes through, CreateBucket for one that the stack makes; optional.
	ArtifactBucket string
	// CacheDir keeps dependency trees between runs, OutputDir gets the zip.
	CacheDir, OutputDir string
}

// CreateBucket is the value of artifactBucket that makes the stack create one.
const CreateBucket = "create"

// outputDir is where the zips go, relative to the program.
const outputDir = "dist"

// Load reads and checks the configuration of the running stack. The error lists every key that is wrong, with its
// value and what is allowed.
func Load(ctx *pulumi.Context) (*Settings, error) {
	r := reader{ctx: ctx, config: config.New(ctx, "")}
	s := &Settings{
		FunctionName:     r.str("functionName", ""),
		Handler:          r.str("handler", "main.handler"),
		Source:           r.str("source", "src"),
		Requirements:     r.str("requirements", "requirements.txt"),
		Builder:          bundle.Builder(r.str("builder", string(bundle.Auto))),
		MemorySize:       r.integer("memorySize", 256),
		Timeout:          r.integer("timeout", 10),
		LogRetentionDays: r.integer("logRetentionDays", 30),
		Environment:      r.environment("environment"),
		CanaryWeight:     r.number("canaryWeight"),
		LiveVersion:      r.str("liveVersion", ""),
		Registry:         r.str("registry", ""),
		Image:            r.str("image", ""),
		ArtifactBucket:   r.str("artifactBucket", ""),
		OutputDir:        outputDir,
		CacheDir:         cacheDir(),
	}
	r.object("exclude", &s.Exclude)
	r.smokeTest(s)
	r.waivers(s)
	if s.FunctionName == "" {
		s.FunctionName = ctx.Project() + "-" + ctx.Stack()
	}
	r.target(s)
	r.check(s)
	r.unknownKeys()
	if len(r.errs) > 0 {
		return nil, fmt.Errorf("the configuration of stack %q is not valid; nothing was deployed:\n%w", ctx.Stack(), errors.Join(r.errs...))
	}
	return s, nil
}

// cacheDir is BUNDLE_CACHE_DIR, else a folder in the user's cache folder.
func cacheDir() string {
	if dir := os.Getenv("BUNDLE_CACHE_DIR"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "python-lambda-bundle")
}

// reader collects what is wrong while it reads.
type reader struct {
	ctx    *pulumi.Context
	config *config.Config
	errs   []error
}

// wrong adds an error that names the key, what it has and what it may have.
func (r *reader) wrong(key string, got any, want string) {
	r.errs = append(r.errs, fmt.Errorf("  %s: got %v, want %s (pulumi config set %s VALUE)", key, got, want, key))
}

func (r *reader) str(key, fallback string) string {
	if v := r.config.Get(key); v != "" {
		return v
	}
	return fallback
}

func (r *reader) integer(key string, fallback int) int {
	v, err := r.config.TryInt(key)
	switch {
	case errors.Is(err, config.ErrMissingVar):
		return fallback
	case err != nil:
		r.wrong(key, fmt.Sprintf("%q", r.config.Get(key)), "a whole number")
	}
	return v
}

func (r *reader) number(key string) float64 {
	v, err := r.config.TryFloat64(key)
	if err != nil && !errors.Is(err, config.ErrMissingVar) {
		r.wrong(key, fmt.Sprintf("%q", r.config.Get(key)), "a number")
	}
	return v
}

func (r *reader) object(key string, into any) {
	if err := r.config.TryObject(key, into); err != nil && !errors.Is(err, config.ErrMissingVar) {
		r.wrong(key, fmt.Sprintf("%q", r.config.Get(key)), "a list or map of the kind that Pulumi.yaml describes")
	}
}

// environment reads the function's variables; where the configuration is secret, each value stays one.
func (r *reader) environment(key string) pulumi.StringMap {
	plain := map[string]string{}
	r.object(key, &plain)
	variables := pulumi.StringMap{}
	for name, value := range plain {
		if err := checkVariable(name); err != nil {
			r.wrong(key, fmt.Sprintf("%q", name), err.Error())
		}
		variables[name] = pulumi.String(value)
		if r.ctx.IsConfigSecret(r.ctx.Project() + ":" + key) {
			variables[name] = pulumi.ToSecret(pulumi.String(value)).(pulumi.StringOutput)
		}
	}
	return variables
}

// SmokeTest is what smokeTest holds: JSON values, nil where they are left out.
type SmokeTest struct {
	Event  json.RawMessage `json:"event"`
	Expect json.RawMessage `json:"expect"`
}

func (r *reader) smokeTest(s *Settings) {
	fields := map[string]json.RawMessage{}
	r.object("smokeTest", &fields)
	for name := range fields {
		if name != "event" && name != "expect" {
			r.wrong("smokeTest", fmt.Sprintf("%q", name), "event and expect alone")
		}
	}
	if len(fields) > 0 {
		s.SmokeTest = &SmokeTest{Event: fields["event"], Expect: fields["expect"]}
	}
}

func (r *reader) waivers(s *Settings) {
	var texts []string
	r.object("verifyIgnore", &texts)
	for _, text := range texts {
		w, err := verify.ParseWaiver(text)
		if err != nil {
			r.wrong("verifyIgnore", fmt.Sprintf("%q", text), "CODE:GLOB with a code of docs/verify.md")
		}
		s.VerifyIgnore = append(s.VerifyIgnore, w)
	}
}

func (r *reader) target(s *Settings) {
	runtime, arch := r.str("runtime", target.Default.Runtime.Name), r.str("architecture", string(target.Default.Arch))
	var err error
	if s.Target, err = target.Parse(runtime, arch); err != nil {
		key, got := "runtime", runtime
		if slices.Contains(target.RuntimeNames(), runtime) {
			key, got = "architecture", arch
		}
		r.wrong(key, fmt.Sprintf("%q", got), "one of "+strings.Join(append(target.RuntimeNames(), "arm64", "x86_64"), ", "))
	}
}

// sortedKeys returns the keys of m in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
