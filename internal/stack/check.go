package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"sample-python-arm64-lambda/bundle"
)

// Limits of AWS Lambda (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const (
	minMemory, maxMemory   = 128, 10240 // MB
	minTimeout, maxTimeout = 1, 900     // seconds
	maxEnvironment         = 4096       // bytes, names and values together
)

// retentions are the days that CloudWatch Logs offers
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html).
var retentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// Patterns of the Lambda API (https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html).
var (
	functionName = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,64}$`)
	handler      = regexp.MustCompile(`^[^\s.][^\s]*\.[^\s.]+$`)
	repository   = regexp.MustCompile(`^([a-zA-Z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*$`)
	imageDigest  = regexp.MustCompile(`^\S+@sha256:[0-9a-f]{64}$`)
	digests      = regexp.MustCompile(`^[0-9a-f]{64}(,[0-9a-f]{64})?$`)
	bucketName   = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	version      = regexp.MustCompile(`^[1-9][0-9]*$`)
	variableName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]+$`)
)

// reserved are the variables that Lambda sets itself and refuses
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html).
var reserved = []string{
	"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME",
	"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME",
	"AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
	"AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
}

// functionKeys may be set for the stack, and for each of its functions; stackKeys for the stack alone. Pulumi.yaml
// describes them all.
var (
	functionKeys = []string{
		"functionName", "handler", "runtime", "architecture", "source", "requirements", "exclude", "builder", "image", "memorySize", "timeout",
		"environment", "logRetentionDays", "smokeTest", "liveVersion", "canaryWeight", "bundleSha256", "verifyIgnore",
	}
	stackKeys = []string{"functions", "registry", "artifactBucket", "layer", "protect"}
)

// check holds the stack's settings against what AWS accepts.
func (r *reader) check(s *Settings) {
	if s.Registry != "" && !repository.MatchString(s.Registry) {
		r.wrong("registry", fmt.Sprintf("%q", s.Registry), "HOST/REPOSITORY, lower case, without a tag")
	}
	if s.ArtifactBucket != "" && !bucketName.MatchString(s.ArtifactBucket) {
		r.wrong("artifactBucket", fmt.Sprintf("%q", s.ArtifactBucket), "the name of an S3 bucket, or create")
	}
}

// checkFunction holds a function's settings against what AWS and the bundler accept.
func (r *reader) checkFunction(f *Function) {
	if !functionName.MatchString(f.FunctionName) {
		r.wrong("functionName", fmt.Sprintf("%q", f.FunctionName), "1 to 64 letters, digits, - and _")
	}
	if !handler.MatchString(f.Handler) || len(f.Handler) > 128 {
		r.wrong("handler", fmt.Sprintf("%q", f.Handler), "MODULE.FUNCTION, at most 128 characters")
	}
	if builders := []bundle.Builder{bundle.Auto, bundle.Wheels, bundle.Docker}; !slices.Contains(builders, f.Builder) {
		r.wrong("builder", fmt.Sprintf("%q", f.Builder), "auto, wheels or docker")
	}
	if f.Image != "" && !imageDigest.MatchString(f.Image) {
		r.wrong("image", fmt.Sprintf("%q", f.Image), "REPOSITORY@sha256:DIGEST, so that every stack gets the same tree")
	}
	if f.SHA256 != "" && !digests.MatchString(f.SHA256) {
		r.wrong("bundleSha256", fmt.Sprintf("%q", f.SHA256), "64 hexadecimal digits, with a layer twice and a comma between")
	}
	if inside := f.CanaryWeight >= 0 && f.CanaryWeight < 1; !inside { // as NaN is
		r.wrong("canaryWeight", f.CanaryWeight, "0 to below 1: the share of the newest version, 0 for all calls")
	}
	if f.LiveVersion != "" && !version.MatchString(f.LiveVersion) {
		r.wrong("liveVersion", fmt.Sprintf("%q", f.LiveVersion), "the number of a published version")
	}
	r.between("memorySize", f.MemorySize, minMemory, maxMemory, "MB")
	r.between("timeout", f.Timeout, minTimeout, maxTimeout, "seconds")
	if !slices.Contains(retentions, f.LogRetentionDays) {
		r.wrong("logRetentionDays", f.LogRetentionDays, "one of "+strings.Trim(fmt.Sprint(retentions), "[]"))
	}
	for _, key := range sortedKeys(r.own) {
		if !slices.Contains(functionKeys, key) {
			r.wrong(key, "a key of no function", "one of "+strings.Join(functionKeys, ", "))
		}
	}
}

// sameNames refuses functions that would overwrite each other.
func (r *reader) sameNames(s *Settings) {
	taken := map[string]string{}
	for _, f := range s.Functions {
		if other, ok := taken[f.FunctionName]; ok {
			r.errs = append(r.errs, fmt.Errorf("  functions: %s and %s are both named %q on AWS, want a functionName of its own for each", other, f.Name, f.FunctionName))
		}
		taken[f.FunctionName] = f.Name
	}
}

func (r *reader) between(key string, got, low, high int, unit string) {
	if got < low || got > high {
		r.wrong(key, got, fmt.Sprintf("%d to %d %s", low, high, unit))
	}
}

// checkVariable says what is wrong with the name of an environment variable.
func checkVariable(name string) error {
	if slices.Contains(reserved, name) {
		return errors.New("a name that Lambda does not set itself")
	}
	if !variableName.MatchString(name) {
		return errors.New("a name of letters, digits and _ that starts with a letter, of two characters or more")
	}
	return nil
}

// unknownKeys refuses keys of the project's namespace that no one reads: a misspelt key would be a setting that is
// silently not made.
func (r *reader) unknownKeys() {
	set, err := r.setKeys()
	if err != nil {
		r.errs = append(r.errs, err)
	}
	for _, key := range set {
		if known := slices.Concat(functionKeys, stackKeys); !slices.Contains(known, key) {
			r.errs = append(r.errs, fmt.Errorf("  %s: not a key of this program, want one of %s (pulumi config rm %s)", key, strings.Join(known, ", "), key))
		}
	}
}

// setKeys lists the keys that the stack sets. The SDK has no list, so it is read where the engine puts it: in the
// environment of a program it starts, else (an inline program) in the stack's file.
func (r *reader) setKeys() ([]string, error) {
	all := map[string]any{}
	if text := os.Getenv("PULUMI_CONFIG"); text != "" {
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return nil, fmt.Errorf("reading PULUMI_CONFIG: %w", err)
		}
	} else {
		file := filepath.Join(r.ctx.RootDirectory(), "Pulumi."+r.ctx.Stack()+".yaml")
		data, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading configuration: %w", err)
		}
		var settings struct {
			Config map[string]any `yaml:"config"`
		}
		if err := yaml.Unmarshal(data, &settings); err != nil {
			return nil, fmt.Errorf("reading %q: %w", file, err)
		}
		all = settings.Config
	}
	var ours []string
	for _, key := range sortedKeys(all) {
		name, mine := strings.CutPrefix(key, r.ctx.Project()+":")
		if mine || !strings.Contains(key, ":") { // a key without a namespace is the project's
			ours = append(ours, name)
		}
	}
	return ours, nil
}
