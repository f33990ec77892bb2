// Package stack reads the settings of a stack: its Pulumi configuration, defaulted and checked. Whatever is wrong is
// told at once, before any resource is registered.
package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"sample-python-arm64-lambda/bundle"
	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
)

// Settings is the checked configuration of a stack.
type Settings struct {
	// Functions are the stack's: one without a Name where the configuration has no functions.
	Functions []*Function
	// Registry is the repository that keeps the docker builder's image; optional.
	Registry string
	// ArtifactBucket is the bucket that zips go through, CreateBucket for one that the stack makes; optional.
	ArtifactBucket string
	// Layer ships dependencies as Lambda layers.
	Layer bool
	// Protect keeps the functions from being destroyed.
	Protect bool
	// OutputDir gets the zips.
	OutputDir string
}

// Function is one function of a stack.
type Function struct {
	Name             string // its key in functions, "" without them
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
	// Image takes the tree from an image that is there already; optional.
	Image string
	// SHA256 is what the bundle has to have; empty for any.
	SHA256 string
	// VerifyIgnore waives findings of the verification.
	VerifyIgnore []verify.Waiver
}

// CreateBucket is the value of artifactBucket that makes the stack create one.
const CreateBucket = "create"

// outputDir is where the zips go, relative to the program.
const outputDir = "dist"

// Load reads and checks the configuration of the running stack. The error lists every key that is wrong, with its
// value and what is allowed.
func Load(ctx *pulumi.Context) (*Settings, error) {
	r := &reader{ctx: ctx}
	s := &Settings{
		Registry:       r.str("registry", ""),
		ArtifactBucket: r.str("artifactBucket", ""),
		Layer:          r.boolean("layer"),
		Protect:        r.boolean("protect"),
		OutputDir:      outputDir,
	}
	r.check(s)
	several := map[string]map[string]json.RawMessage{}
	r.object("functions", &several)
	for _, name := range sortedKeys(several) {
		s.Functions = append(s.Functions, r.of(name, several[name]).function())
	}
	if len(several) == 0 {
		s.Functions = []*Function{r.function()}
	}
	r.unknownKeys()
	r.sameNames(s)
	if len(r.errs) > 0 {
		return nil, fmt.Errorf("the configuration of stack %q is not valid; nothing was deployed:\n%w", ctx.Stack(), errors.Join(r.errs...))
	}
	return s, nil
}

// function reads one function's settings: its own where it is one of several, else the stack's.
func (r *reader) function() *Function {
	f := &Function{
		Name:             r.name,
		FunctionName:     r.functionName(),
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
		Image:            r.str("image", ""),
		SHA256:           r.str("bundleSha256", ""),
		SmokeTest:        r.smokeTest("smokeTest"),
		VerifyIgnore:     r.waivers("verifyIgnore"),
	}
	r.object("exclude", &f.Exclude)
	f.Target = r.target()
	r.checkFunction(f)
	return f
}

// functionName is what is configured, else the project's and the stack's, so that stacks share an account; one of
// several has its own name behind it.
func (r *reader) functionName() string {
	if _, own := r.own["functionName"]; own {
		return r.str("functionName", "")
	}
	name := r.str("functionName", r.ctx.Project()+"-"+r.ctx.Stack())
	if r.name != "" {
		name += "-" + r.name
	}
	return name
}

// reader collects what is wrong while it reads.
type reader struct {
	ctx  *pulumi.Context
	name string // of one of several functions
	own  map[string]json.RawMessage
	errs []error
	up   *reader // the stack's
}

// of returns a reader that prefers the settings of one of several functions to the stack's.
func (r *reader) of(name string, own map[string]json.RawMessage) *reader {
	return &reader{ctx: r.ctx, name: name, own: own, up: r}
}

// wrong adds an error that names the key, what it has and what it may have.
func (r *reader) wrong(key string, got any, want string) {
	path, top := key, r
	if _, own := r.own[key]; r.up != nil {
		top = r.up
		if own || key == "functionName" {
			path = "functions." + r.name + "." + key
		}
	}
	command := "pulumi config set " + path + " VALUE"
	if path != key {
		command = "pulumi config set --path " + path + " VALUE"
	}
	if err := fmt.Errorf("  %s: got %v, want %s (%s)", path, got, want, command); !slices.ContainsFunc(top.errs, func(e error) bool { return e.Error() == err.Error() }) {
		top.errs = append(top.errs, err) // a setting that functions share is told once
	}
}

// raw returns a setting as text, objects and lists as JSON.
func (r *reader) raw(key string) (string, bool) {
	if value, ok := r.own[key]; ok {
		var text string
		if json.Unmarshal(value, &text) == nil {
			return text, true
		}
		return string(value), true
	}
	// Not config.Config, which warns of secrets that are read as text.
	return r.ctx.GetConfig(r.ctx.Project() + ":" + key)
}

// secret says whether a setting is marked as one.
func (r *reader) secret(key string) bool {
	if _, own := r.own[key]; own {
		key = "functions"
	}
	return r.ctx.IsConfigSecret(r.ctx.Project() + ":" + key)
}

func (r *reader) str(key, fallback string) string {
	if v, _ := r.raw(key); v != "" {
		return v
	}
	return fallback
}

func (r *reader) integer(key string, fallback int) int {
	text, ok := r.raw(key)
	if !ok {
		return fallback
	}
	v, err := strconv.Atoi(text)
	if err != nil {
		r.wrong(key, fmt.Sprintf("%q", text), "a whole number")
	}
	return v
}

func (r *reader) number(key string) float64 {
	text, ok := r.raw(key)
	if !ok {
		return 0
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		r.wrong(key, fmt.Sprintf("%q", text), "a number")
	}
	return v
}

func (r *reader) boolean(key string) bool {
	text, ok := r.raw(key)
	if ok && text != "true" && text != "false" {
		r.wrong(key, fmt.Sprintf("%q", text), "true or false")
	}
	return text == "true"
}

func (r *reader) object(key string, into any) {
	text, ok := r.raw(key)
	if !ok {
		return
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		if r.secret(key) {
			text = "a secret"
		}
		r.wrong(key, fmt.Sprintf("%q", text), "a list or map of the kind that Pulumi.yaml describes")
	}
}

// environment reads the function's variables; where the configuration is secret, each value stays one.
func (r *reader) environment(key string) pulumi.StringMap {
	plain := map[string]string{}
	r.object(key, &plain)
	variables := pulumi.StringMap{}
	bytes := 0
	for name, value := range plain {
		bytes += len(name) + len(value)
		if err := checkVariable(name); err != nil {
			r.wrong(key, fmt.Sprintf("%q", name), err.Error())
		}
		variables[name] = pulumi.String(value)
		if r.secret(key) {
			variables[name] = pulumi.ToSecret(pulumi.String(value)).(pulumi.StringOutput)
		}
	}
	if bytes > maxEnvironment {
		r.wrong(key, fmt.Sprintf("%d bytes", bytes), fmt.Sprintf("at most %d, names and values together", maxEnvironment))
	}
	return variables
}

// SmokeTest is what smokeTest holds: JSON values, nil where they are left out.
type SmokeTest struct {
	Event, Expect json.RawMessage
	Secret        bool // the setting is marked as one
}

func (r *reader) smokeTest(key string) *SmokeTest {
	fields := map[string]json.RawMessage{}
	r.object(key, &fields)
	for name := range fields {
		if name != "event" && name != "expect" {
			r.wrong(key, fmt.Sprintf("%q", name), "event and expect alone")
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return &SmokeTest{Event: fields["event"], Expect: fields["expect"], Secret: r.secret(key)}
}

func (r *reader) waivers(key string) (waivers []verify.Waiver) {
	var texts []string
	r.object(key, &texts)
	for _, text := range texts {
		w, err := verify.ParseWaiver(text)
		if err != nil {
			r.wrong(key, fmt.Sprintf("%q", text), "CODE:GLOB with a code of docs/verify.md")
		}
		waivers = append(waivers, w)
	}
	return waivers
}

func (r *reader) target() target.Target {
	runtime, arch := r.str("runtime", target.Default.Runtime.Name), r.str("architecture", string(target.Default.Arch))
	t, err := target.Parse(runtime, arch)
	if err != nil {
		key, got := "runtime", runtime
		if slices.Contains(target.RuntimeNames(), runtime) {
			key, got = "architecture", arch
		}
		r.wrong(key, fmt.Sprintf("%q", got), "one of "+strings.Join(append(target.RuntimeNames(), "arm64", "x86_64"), ", "))
	}
	return t
}

// sortedKeys returns the keys of m in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
