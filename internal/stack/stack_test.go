package stack

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gopkg.in/yaml.v3"

	"sample-python-arm64-lambda/bundle"
)

const project = "sample-python-arm64-lambda"

// noResources fails the test when a resource is registered: the configuration is read before any.
type noResources struct{ t *testing.T }

func (n noResources) NewResource(a pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	n.t.Errorf("resource %s was registered", a.TypeToken)
	return "", nil, nil
}

func (n noResources) Call(a pulumi.MockCallArgs) (resource.PropertyMap, error) {
	n.t.Errorf("function %s was called", a.Token)
	return nil, nil
}

// load reads settings under the engine's environment for the configuration.
func load(t *testing.T, config map[string]string, secret ...string) (s *Settings, err error) {
	t.Helper()
	full := map[string]string{"aws:region": "ap-northeast-1"}
	for k, v := range config {
		full[project+":"+k] = v
	}
	text, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PULUMI_CONFIG", string(text))
	runErr := pulumi.RunErr(func(ctx *pulumi.Context) error {
		s, err = Load(ctx)
		return nil
	}, pulumi.WithMocks(project, "dev", noResources{t}), func(info *pulumi.RunInfo) {
		info.Config = full
		for _, k := range secret {
			info.ConfigSecretKeys = append(info.ConfigSecretKeys, project+":"+k)
		}
	})
	if runErr != nil {
		t.Fatal(runErr)
	}
	return s, err
}

func TestDefaultsAreTheSamples(t *testing.T) {
	s, err := load(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := s.Functions[0]
	if f.FunctionName != project+"-dev" || f.Handler != "main.handler" || f.Target.String() != "python3.11 on arm64" ||
		f.Builder != bundle.Auto || f.MemorySize != 256 || f.Timeout != 10 || f.LogRetentionDays != 30 || s.Layer || s.Protect {
		t.Errorf("got %+v %+v", s, f)
	}
}

func TestValuesAreRead(t *testing.T) {
	s, err := load(t, map[string]string{
		"functionName": "f", "runtime": "python3.13", "architecture": "x86_64", "memorySize": "512", "timeout": "30",
		"smokeTest": `{"event": {}, "expect": [1]}`, "verifyIgnore": `["LIBRARY:cv2/*"]`, "canaryWeight": "0.1",
		"exclude": `["tests", "*.md"]`, "environment": `{"LEVEL": "debug"}`, "builder": "wheels", "logRetentionDays": "7",
		"layer": "true", "protect": "true",
	})
	if err != nil {
		t.Fatal(err)
	}
	f := s.Functions[0]
	if f.FunctionName != "f" || f.Target.String() != "python3.13 on x86_64" || f.MemorySize != 512 || f.Timeout != 30 ||
		len(f.Exclude) != 2 || f.Environment["LEVEL"] != pulumi.String("debug") || f.Builder != bundle.Wheels || f.LogRetentionDays != 7 ||
		f.CanaryWeight != 0.1 || string(f.SmokeTest.Expect) != "[1]" || len(f.VerifyIgnore) != 1 || !s.Layer || !s.Protect {
		t.Errorf("got %+v %+v", s, f)
	}
}

func TestASecretSmokeTestStaysSecret(t *testing.T) {
	for _, secrets := range [][]string{nil, {"smokeTest"}} {
		s, err := load(t, map[string]string{"smokeTest": `{"event": 1}`}, secrets...)
		if err != nil || s.Functions[0].SmokeTest.Secret != (secrets != nil) {
			t.Errorf("secrets %q: got %v %v", secrets, s, err)
		}
	}
}

func TestASecretEnvironmentStaysSecret(t *testing.T) {
	for key, value := range map[string]string{"environment": `{"TOKEN": "x1"}`, "functions": `{"api": {"environment": {"TOKEN": "x1"}}}`} {
		s, err := load(t, map[string]string{key: value}, key)
		if err != nil {
			t.Fatal(err)
		}
		token := s.Functions[0].Environment["TOKEN"]
		if out, ok := token.(pulumi.StringOutput); !ok || !pulumi.IsSecret(out) {
			t.Errorf("%s: got %T, want a secret output", key, token)
		}
	}
	if _, err := load(t, map[string]string{"environment": `{"TOKEN": 12345}`}, "environment"); err == nil || strings.Contains(err.Error(), "12345") {
		t.Errorf("a secret of the wrong kind: got %v", err)
	}
}

func TestFunctionsTakeWhatTheyDoNotSetFromTheStack(t *testing.T) {
	s, err := load(t, map[string]string{
		"memorySize": "512", "environment": `{"LEVEL": "debug"}`, "smokeTest": `{"expect": 1}`, "canaryWeight": "0.5",
		"functions": `{"worker": {"source": "src/worker", "timeout": 60, "canaryWeight": 0.1, "smokeTest": {}}, "api": {"functionName": "web", "environment": {}, "exclude": ["tests"]}}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Functions) != 2 {
		t.Fatalf("got %d functions", len(s.Functions))
	}
	api, worker := s.Functions[0], s.Functions[1]
	if api.Name != "api" || api.FunctionName != "web" || api.MemorySize != 512 || len(api.Environment) != 0 || len(api.Exclude) != 1 ||
		api.Source != "src" || api.SmokeTest == nil || api.CanaryWeight != 0.5 {
		t.Errorf("api: got %+v", api)
	}
	if worker.Name != "worker" || worker.FunctionName != project+"-dev-worker" || worker.Source != "src/worker" || worker.Timeout != 60 ||
		worker.MemorySize != 512 || len(worker.Environment) != 1 || worker.SmokeTest != nil || worker.CanaryWeight != 0.1 {
		t.Errorf("worker: got %+v", worker)
	}
}

func TestWhatIsWrongWithAFunctionNamesIt(t *testing.T) {
	for functions, want := range map[string]string{
		`{"api": {"memorySize": 1}}`:                               "functions.api.memorySize: got 1, want 128 to 10240 MB (pulumi config set --path functions.api.memorySize VALUE)",
		`{"api": {"memorySize": "much"}}`:                          `functions.api.memorySize: got "much", want a whole number`,
		`{"api": {"registry": "x"}}`:                               "functions.api.registry: got a key of no function",
		`{"a": {"functionName": "x"}, "b": {"functionName": "x"}}`: `a and b are both named "x"`,
		`{"a b": {}}`: "functions.a b.functionName: got",
		`["api"]`:     "want a list or map of the kind",
		`{"api": {"architecture": "arm"}, "worker": {"runtime": "node22"}}`: "functions.worker.runtime",
	} {
		if _, err := load(t, map[string]string{"functions": functions}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", functions, err, want)
		}
	}
	_, err := load(t, map[string]string{"memorySize": "1", "functions": `{"a": {}, "b": {}}`})
	if err == nil || strings.Count(err.Error(), "memorySize: got") != 1 {
		t.Errorf("what functions share is not told once: %v", err)
	}
}

func TestWrongValuesAreRefusedWithWhatIsAllowed(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"memorySize", "64", "got 64, want 128 to 10240 MB"},
		{"memorySize", "10241", "got 10241, want 128 to 10240 MB"},
		{"memorySize", "much", `got "much", want a whole number`},
		{"timeout", "0", "got 0, want 1 to 900 seconds"},
		{"timeout", "901", "got 901, want 1 to 900 seconds"},
		{"logRetentionDays", "8", "got 8, want one of 1 3 5 7 14"},
		{"functionName", "a b", "want 1 to 64 letters"},
		{"functionName", strings.Repeat("a", 65), "want 1 to 64 letters"},
		{"handler", "main", "want MODULE.FUNCTION"},
		{"runtime", "python3.8", `got "python3.8", want one of python3.9`},
		{"architecture", "arm", `architecture: got "arm"`},
		{"builder", "pip", "want auto, wheels or docker"},
		{"environment", `{"AWS_REGION": "x"}`, `got "AWS_REGION", want a name that Lambda does not set itself`},
		{"environment", `{"1X": "x"}`, "starts with a letter"},
		{"environment", `[1]`, "want a list or map of the kind"},
		{"exclude", `"x"`, "want a list or map of the kind"},
		{"verifyIgnore", `["NO-CODE:*"]`, "want CODE:GLOB with a code"},
		{"artifactBucket", "A B", "want the name of an S3 bucket, or create"},
		{"registry", "Host/Repo:tag", "want HOST/REPOSITORY"},
		{"image", "repo:tag", "want REPOSITORY@sha256:DIGEST"},
		{"liveVersion", "newest", "want the number of a published version"},
		{"canaryWeight", "1", "want 0 to below 1"},
		{"canaryWeight", "NaN", "want 0 to below 1"},
		{"canaryWeight", "x", "want a number"},
		{"smokeTest", `{"expected": 1}`, "want event and expect alone"},
		{"bundleSha256", "6db3", "want 64 hexadecimal digits"},
		{"layer", "yes", `got "yes", want true or false`},
		{"environment", `{"LONG": "` + strings.Repeat("x", 4096) + `"}`, "got 4100 bytes, want at most 4096"},
		{"memorysize", "512", "memorysize: not a key of this program"},
	} {
		t.Run(c.key+"="+c.value, func(t *testing.T) {
			_, err := load(t, map[string]string{c.key: c.value})
			if err == nil {
				t.Fatal("got no error")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.key) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAllThatIsWrongIsToldAtOnce(t *testing.T) {
	_, err := load(t, map[string]string{"memorySize": "1", "timeout": "0", "hanlder": "x"})
	for _, want := range []string{"memorySize", "timeout", "hanlder"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s in it", err, want)
		}
	}
}

// TestPulumiYAMLDescribesEveryKey holds the schema that users read against the keys that the program reads.
func TestPulumiYAMLDescribesEveryKey(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "Pulumi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Config map[string]struct {
			Type, Description string
			Default           any
		}
	}
	if err := yaml.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{}
	keys := slices.Concat(functionKeys, stackKeys)
	for _, key := range keys {
		c, ok := schema.Config[key]
		if !ok || c.Type == "" || c.Description == "" || c.Default == nil {
			t.Errorf("Pulumi.yaml: %s lacks type, description or default", key)
			continue
		}
		if key == "smokeTest" {
			continue
		}
		value, err := json.Marshal(c.Default)
		if err != nil {
			t.Fatal(err)
		}
		if defaults[key] = string(value); c.Type == "string" {
			defaults[key] = c.Default.(string)
		}
	}
	if len(schema.Config) != len(keys) {
		t.Errorf("Pulumi.yaml has %d keys, the program reads %d", len(schema.Config), len(keys))
	}
	explicit, err := load(t, defaults)
	if err != nil {
		t.Fatal(err)
	}
	implicit, err := load(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := dump(t, explicit), dump(t, implicit); a != b {
		t.Errorf("Pulumi.yaml's defaults give\n%s\nthe program's own\n%s", a, b)
	}
}

func dump(t *testing.T, s *Settings) string {
	t.Helper()
	c := *s.Functions[0]
	if len(c.Exclude) == 0 {
		c.Exclude = nil
	}
	if len(c.VerifyIgnore) == 0 {
		c.VerifyIgnore = nil
	}
	whole := *s
	whole.Functions = nil
	text, err := json.Marshal([]any{whole, c})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
