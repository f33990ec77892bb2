package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
)

// TestABadVersionNeverGetsTraffic is the deploy matrix: one stack that lives through good and bad deployments, rollback
// and roll forward. After each step callers get the last version that passed its smoke test.
func TestABadVersionNeverGetsTraffic(t *testing.T) {
	c := newCheckout(t)
	c.replaceIn("Pulumi.local.yaml", "builder", "timeout: 3\n  builder")
	c.restage()
	const good = "def handler(event, context):\n    return {'id': 1, 'name': 'John', 'age': 30}\n"
	for _, step := range []struct {
		name   string
		source string // of main.py; as before where it is empty
		pin    string // liveVersion, "" for none
		fails  string // what the failed update says; "" where it succeeds
		live   string // the version that callers get; "" for none
		canary string // canaryWeight
		shares string // of the versions beside live
	}{
		{"first deploy bad", "import nothing_of_this_name\n" + good, "", "No module named 'nothing_of_this_name'", "", "0.5", ""},
		{"good", good, "", "", "2", "0.5", ""}, // there is nothing that the canary could stand beside
		{"import error", "import nothing_of_this_name\n" + good, "", "Unable to import module 'main'", "2", "", ""},
		{"handler raises", "def handler(event, context):\n    raise ValueError('of the test')\n", "", "of the test", "2", "", ""},
		{"wrong result", "def handler(event, context):\n    return {'id': 2}\n", "", `got  {"id":2}`, "2", "", ""},
		{"timeout", "import time\n\ndef handler(event, context):\n    time.sleep(20)\n", "", "Task timed out after 3.00 seconds", "2", "", ""},
		{"good again", "# another\n" + good, "", "", "7", "", ""},
		{"rollback", "", "2", "", "2", "", ""},
		{"rollback to one that was never good", "", "5", `got  {"id":2}`, "2", "", ""},
		{"roll forward", "", "", "", "7", "", ""},
		{"canary", "# a third\n" + good, "", "", "7", "0.5", "map[8:0.5]"},
		{"the canary is well", "", "", "", "8", "", ""},
	} {
		t.Run(step.name, func(t *testing.T) {
			c.t = t
			if step.source != "" {
				if err := os.WriteFile("src/main.py", []byte(step.source), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			c.set("liveVersion", step.pin)
			c.set("canaryWeight", step.canary)
			var out transcript
			var err error
			stop := c.callers()
			if step.fails == "" {
				c.up()
			} else {
				_, err = c.stack.Up(t.Context(), optup.ProgressStreams(&out), optup.ErrorProgressStreams(&out))
			}
			stop()
			switch {
			case step.fails != "" && err == nil:
				t.Error("up succeeded")
			case step.fails != "" && !strings.Contains(out.String(), step.fails):
				t.Errorf("the engine does not show %q:\n%s", step.fails, &out)
			}
			got, shares := c.alias()
			if got != step.live {
				t.Errorf("live is version %q, want %q", got, step.live)
			}
			if got := fmt.Sprint(shares); step.shares != "" && got != step.shares || step.shares == "" && len(shares) != 0 {
				t.Errorf("the shares of other versions are %v, want %q", got, step.shares)
			}
			if step.live != "" {
				if payload, _ := c.invoke(); payload != `{"id":1,"name":"John","age":30}` {
					t.Errorf("callers get %s", payload)
				}
			}
			if step.fails == "" {
				if changes := c.preview(); len(changes) != 0 {
					t.Errorf("the next preview is not clean: %v", changes)
				}
				if outputs, err := c.stack.Outputs(t.Context()); err != nil || outputs["liveVersion"].Value != step.live {
					t.Errorf("output liveVersion: got %v %v, want %s", outputs["liveVersion"].Value, err, step.live)
				}
			}
		})
	}
	c.t = t
	if got, want := c.versions(), []string{"1", "2", "3", "4", "5", "6", "7", "8"}; !slices.Equal(got, want) {
		t.Errorf("published versions: got %q, want %q", got, want)
	}
	c.destroy()
}

// TestAnUnexpectedResultIsAskedForAgain has a function that answers wrongly once. The engine keeps the answer, so the error
// says how to ask again.
func TestAnUnexpectedResultIsAskedForAgain(t *testing.T) {
	c := newCheckout(t)
	const flaky = "calls = []\n\ndef handler(event, context):\n    calls.append(1)\n    return {'id': 1, 'name': 'John' if len(calls) > 1 else 'Jane', 'age': 30}\n"
	if err := os.WriteFile("src/main.py", []byte(flaky), 0o644); err != nil {
		t.Fatal(err)
	}
	var cure []string
	for range 2 {
		var out transcript
		_, err := c.stack.Up(t.Context(), optup.ProgressStreams(&out), optup.ErrorProgressStreams(&out))
		cure = regexp.MustCompile(`pulumi up --replace '(\S+)'`).FindStringSubmatch(out.String())
		if err == nil || cure == nil || !strings.Contains(out.String(), "Jane") {
			t.Fatalf("got %v, want the result and how to ask again:\n%s", err, &out)
		}
	}
	if _, err := c.stack.Up(t.Context(), optup.Replace(cure[1:])); err != nil {
		t.Fatal(err)
	}
	if payload, _ := c.invoke(); payload != john || c.live() != "1" {
		t.Errorf("live is version %q, callers get %s", c.live(), payload)
	}
	c.clean()
}

// callers calls the function, where it is live, until the returned function is called, and holds that each call gets the
// right answer.
func (c *checkout) callers() (stop func()) {
	c.t.Helper()
	if c.live() == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	var group sync.WaitGroup
	answers := map[string]int{}
	group.Go(func() {
		for ctx.Err() == nil {
			out, err := lambda.NewFromConfig(c.aws).Invoke(context.WithoutCancel(ctx), &lambda.InvokeInput{FunctionName: aws.String(sampleName + ":live")})
			switch {
			case err != nil:
				answers[err.Error()]++
			default:
				answers[string(bytes.ReplaceAll(out.Payload, []byte(" "), nil))]++
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	return func() {
		cancel()
		group.Wait()
		if len(answers) != 1 || answers[john] < 2 {
			c.t.Errorf("during the update callers got %v", answers)
		}
	}
}

// set sets a key of the stack's configuration, or removes it.
func (c *checkout) set(key, value string) {
	c.t.Helper()
	name := sampleName + ":" + key
	var err error
	switch {
	case value != "":
		err = c.stack.SetConfig(c.t.Context(), name, auto.ConfigValue{Value: value})
	case c.settings[key] != "":
		err = c.stack.RemoveConfig(c.t.Context(), name)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.settings[key] = value
}

// live returns the version that alias live points at, "" where there is none.
func (c *checkout) live() string {
	c.t.Helper()
	version, _ := c.alias()
	return version
}

// alias returns the version that alias live points at, "" where there is none, and the shares of others.
func (c *checkout) alias() (version string, shares map[string]float64) {
	c.t.Helper()
	alias, err := lambda.NewFromConfig(c.aws).GetAlias(c.t.Context(), &lambda.GetAliasInput{FunctionName: aws.String(sampleName), Name: aws.String("live")})
	var none *types.ResourceNotFoundException
	if errors.As(err, &none) {
		return "", nil
	}
	if err != nil {
		c.t.Fatal(err)
	}
	if alias.RoutingConfig != nil {
		shares = alias.RoutingConfig.AdditionalVersionWeights
	}
	return *alias.FunctionVersion, shares
}

// versions lists the published versions.
func (c *checkout) versions() []string {
	c.t.Helper()
	out, err := lambda.NewFromConfig(c.aws).ListVersionsByFunction(c.t.Context(), &lambda.ListVersionsByFunctionInput{FunctionName: aws.String(sampleName)})
	if err != nil {
		c.t.Fatal(err)
	}
	var all []string
	for _, v := range out.Versions {
		if *v.Version != "$LATEST" {
			all = append(all, fmt.Sprint(*v.Version))
		}
	}
	return all
}

// TestALargeBundleGoesThroughS3 deploys a bundle above the quota of a direct upload.
func TestALargeBundleGoesThroughS3(t *testing.T) {
	c := newCheckout(t)
	data := make([]byte, 56<<20)
	rand.NewChaCha8([32]byte{}).Read(data) //nolint:errcheck // it never fails
	if err := os.WriteFile("src/data.bin", data, 0o644); err != nil {
		t.Fatal(err)
	}
	var out transcript
	if _, err := c.stack.Up(t.Context(), optup.ProgressStreams(&out), optup.ErrorProgressStreams(&out)); err == nil {
		t.Error("it was deployed without a bucket")
	}
	for _, want := range []string{"52428800", "pydantic_core 2.27.2", "set artifactBucket"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the engine does not show %q:\n%s", want, &out)
		}
	}
	if left := c.leftovers(); left != nil {
		t.Errorf("registered: %q", left)
	}
	c.set("artifactBucket", "create")
	c.up()
	c.checkDigest()
	if payload, _ := c.invoke(); payload != `{"id":1,"name":"John","age":30}` {
		t.Errorf("callers get %s", payload)
	}
	c.clean()
	c.replaceIn("src/main.py", "return User", "print(\"changed\")\n    return User")
	if changes := c.up(); changes["update"] != 2 || changes["replace"] != 2 {
		t.Errorf("a change: got %v, want function and alias updated, smoke test and object replaced", changes)
	}
	c.checkDigest()
	c.destroy()
}
