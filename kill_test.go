package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"

	"sample-python-arm64-lambda/internal/local/provider"
	"sample-python-arm64-lambda/internal/testtools"
)

// killer ends the engine with SIGKILL at one moment of a deployment.
type killer struct {
	t      *testing.T
	moment string // "before create aws:iam/role:Role": the account does not have it; "after …": it has, and nobody was told
	struck bool
}

func (k *killer) at(moment string) {
	if k.moment == "" || !strings.HasSuffix(moment, k.moment) || k.struck {
		return
	}
	k.struck = true
	// The engine is this process's child; its plugins, this process among them, live on.
	if out, err := exec.Command("pkill", "-KILL", "--parent", strconv.Itoa(os.Getpid()), "--exact", "pulumi").CombinedOutput(); err != nil {
		k.t.Errorf("killing the engine: %v\n%s", err, out)
	}
}

// TestAKilledEngine kills the engine at each moment of a first deployment and of an update. The alias never points at a
// version that was not invoked before; `ci recover` and another update converge, and leave nothing behind.
func TestAKilledEngine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it kills by pkill of Linux")
	}
	ci := filepath.Join(t.TempDir(), "ci")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", ci, "./cmd/ci").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := newCheckout(t)
	c.plain()
	k := &killer{t: t}
	server, err := provider.ServeAWS(t.Context(), func(string) {}, provider.WithFault(func(op, token string) error {
		if k.at("before " + op + " " + token); k.struck && k.moment != "" {
			return errors.New("the engine is gone")
		}
		return nil
	}), provider.WithDone(func(op, token string) { k.at("after " + op + " " + token) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() }) //nolint:errcheck // the test's own result is told
	c.providers = map[string]int{"aws": server.Port()}
	c.restage()
	c.set("layer", "true")

	told := false // what to do, which is looked at once
	strike := func(t *testing.T, moment string) {
		c.t, k.t, k.moment, k.struck = t, t, moment, false
		var out transcript
		_, err := c.stack.Up(t.Context(), optup.ProgressStreams(&out), optup.ErrorProgressStreams(&out))
		if k.moment = ""; err == nil || !k.struck {
			t.Fatalf("the engine was not killed (%v):\n%s", err, &out)
		}
		c.checked()
		if !told {
			told = true
			if out, err := c.ci(ci, "up"); err == nil || !strings.Contains(out, "cmd/ci recover -stack local") {
				t.Errorf("up of a locked stack: got %v, want what to do:\n%s", err, out)
			}
		}
		if out, err := c.ci(ci, "recover"); err != nil {
			t.Fatalf("recover: %v\n%s", err, out)
		}
		c.deploy()
		c.checked()
		c.alone()
	}
	for _, moment := range []string{
		"after create aws:cloudwatch/logGroup:LogGroup", "after create aws:iam/rolePolicy:RolePolicy",
		"after create aws:lambda/function:Function", "after create aws:lambda/alias:Alias",
	} {
		t.Run("the first deployment, "+moment, func(t *testing.T) {
			strike(t, moment)
			c.destroy()
		})
	}
	c.t = t
	c.up()
	for i, moment := range []string{
		"before create aws:lambda/layerVersion:LayerVersion", "after create aws:lambda/layerVersion:LayerVersion",
		"before update aws:lambda/function:Function", "after update aws:lambda/function:Function",
		"before create aws:lambda/invocation:Invocation", "after create aws:lambda/invocation:Invocation",
		"before update aws:lambda/alias:Alias", "after update aws:lambda/alias:Alias",
		"before delete aws:lambda/layerVersion:LayerVersion", "after delete aws:lambda/layerVersion:LayerVersion",
	} {
		t.Run("an update, "+moment, func(t *testing.T) {
			c.t = t
			c.replaceIn("src/main.py", "def handler", fmt.Sprintf("# %d\ndef handler", i))
			versions := []string{"typing-extensions==4.12.2", "typing-extensions==4.13.2"}
			c.replaceIn("requirements.txt", versions[i%2], versions[1-i%2])
			before := c.live()
			strike(t, moment)
			if now := c.live(); now == before {
				t.Errorf("live stayed at version %s", before)
			}
			if payload, _ := c.invoke(); payload != john {
				t.Errorf("callers get %s", payload)
			}
		})
	}
	c.t = t
	c.clean()
	c.destroy()
}

// ci runs a command of the built cmd/ci on the checkout's stack.
func (c *checkout) ci(binary, command string) (output string, err error) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), binary, command, "-stack", "local")
	cmd.Dir, cmd.Env = c.stack.Workspace().WorkDir(), append(os.Environ(), "PATH="+filepath.Join(pulumiRoot(c.t), "bin")+":"+os.Getenv("PATH"))
	for name, value := range c.stack.Workspace().GetEnvVars() {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// pulumiRoot is the folder of the engine that the tests use.
func pulumiRoot(t *testing.T) string {
	t.Helper()
	roots, err := filepath.Glob(filepath.Join(testtools.Dir(t), "pulumi-*"))
	if err != nil || len(roots) == 0 {
		t.Fatalf("no Pulumi CLI: %v", err)
	}
	return roots[len(roots)-1]
}

// checked holds that the version that callers get was invoked by the smoke test, as its log shows.
func (c *checkout) checked() {
	c.t.Helper()
	live := c.live()
	if live == "" {
		return
	}
	if log := c.logs(); !strings.Contains(log, `"functionVersion":"`+live+`"`) && !strings.Contains(log, `"version":"`+live+`"`) {
		c.t.Errorf("live points at version %s, which nobody invoked:\n%s", live, log)
	}
}

// alone holds that the account has one of each kind, and no other version of the layer.
func (c *checkout) alone() {
	c.t.Helper()
	kinds := map[string]int{}
	for _, what := range c.leftovers() {
		kinds[what[:strings.LastIndex(what, " ")]]++
	}
	if want := map[string]int{"function": 1, "role": 1, "log group": 1, "layer": 1}; fmt.Sprint(kinds) != fmt.Sprint(want) {
		c.t.Errorf("the account has %v, want %v", kinds, want)
	}
	client := lambda.NewFromConfig(c.aws)
	layers, err := client.ListLayerVersions(c.t.Context(), &lambda.ListLayerVersionsInput{LayerName: aws.String(sampleName + "-local-dependencies")})
	if err != nil {
		c.t.Fatal(err)
	}
	var versions []string
	for _, v := range layers.LayerVersions {
		versions = append(versions, *v.LayerVersionArn)
	}
	if has, _ := c.layers(sampleName); !slices.Equal(has, versions) {
		c.t.Errorf("the account has the layer versions %q, the function %q", versions, has)
	}
	roles, err := iam.NewFromConfig(c.aws).ListRoles(c.t.Context(), &iam.ListRolesInput{})
	if err != nil {
		c.t.Fatal(err)
	}
	policies, err := iam.NewFromConfig(c.aws).ListRolePolicies(c.t.Context(), &iam.ListRolePoliciesInput{RoleName: roles.Roles[0].RoleName})
	if err != nil || len(policies.PolicyNames) != 1 {
		c.t.Errorf("the role has the policies %q: %v", policies.PolicyNames, err)
	}
}
