package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
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

// TestABadVersionNeverGetsTraffic is the deploy matrix: one stack that lives through good and bad deployments. During each step
// callers get the right answer, and after it the last version that passed its smoke test.
func TestABadVersionNeverGetsTraffic(t *testing.T) {
	c := newCheckout(t)
	c.replaceIn("Pulumi.local.yaml", "builder", "timeout: 3\n  builder")
	c.restage()
	const good = "def handler(event, context):\n    return {'id': 1, 'name': 'John', 'age': 30}\n"
	keys := []string{"liveVersion", "canaryWeight", "layer", "artifactBucket"}
	type settings map[string]string
	for _, step := range []struct {
		name     string
		source   string   // of main.py; as before where it is empty
		data     int      // bytes that do not compress, beside it
		settings settings // of the keys
		fails    string   // what the failed update says; "" where it succeeds
		live     string   // the version that callers get; "" for none
		shares   string   // of other versions
		versions int      // that exist then
	}{
		{name: "first deploy bad", source: "import nothing_of_this_name\n" + good, settings: settings{"canaryWeight": "0.5"},
			fails: "No module named 'nothing_of_this_name'", versions: 1},
		{name: "good, with nothing that a canary could stand beside", source: good, settings: settings{"canaryWeight": "0.5"}, live: "2", versions: 2},
		{name: "import error", source: "import nothing_of_this_name\n" + good, fails: "Unable to import module 'main'", live: "2", versions: 3},
		{name: "handler raises", source: "def handler(event, context):\n    raise ValueError('of the test')\n", fails: "of the test", live: "2", versions: 4},
		{name: "wrong result", source: "def handler(event, context):\n    return {'id': 2}\n", fails: `got  {"id":2}`, live: "2", versions: 5},
		{name: "timeout", source: "import time\n\ndef handler(event, context):\n    time.sleep(20)\n", fails: "Task timed out after 3.00 seconds", live: "2", versions: 6},
		{name: "good again", source: "# another\n" + good, live: "7", versions: 7},
		{name: "rollback", settings: settings{"liveVersion": "2"}, live: "2", versions: 7},
		{name: "rollback to one that was never good", settings: settings{"liveVersion": "5"}, fails: `got  {"id":2}`, live: "2", versions: 7},
		{name: "roll forward", live: "7", versions: 7},
		{name: "canary", source: "# a third\n" + good, settings: settings{"canaryWeight": "0.5"}, live: "7", shares: "map[8:0.5]", versions: 8},
		{name: "the canary is well", live: "8", versions: 8},
		{name: "layer on", settings: settings{"layer": "true"}, live: "9", versions: 9},
		{name: "layer off", live: "10", versions: 10},
		{name: "above 50 MB", data: 56 << 20, fails: "set artifactBucket", live: "10", versions: 10},
		{name: "above 50 MB, through S3", data: 56 << 20, settings: settings{"artifactBucket": "create"}, live: "11", versions: 11},
		{name: "a change, through S3", source: "# a fourth\n" + good, data: 56 << 20, settings: settings{"artifactBucket": "create"}, live: "12", versions: 12},
		{name: "below 50 MB again", live: "13", versions: 13},
	} {
		t.Run(step.name, func(t *testing.T) {
			c.t = t
			if step.source != "" {
				c.write("src/main.py", []byte(step.source))
			}
			data := make([]byte, step.data)
			rand.NewChaCha8([32]byte{}).Read(data) //nolint:errcheck // it never fails
			c.write("src/data.bin", data)
			for _, key := range keys {
				c.set(key, step.settings[key])
			}
			var out transcript
			var err error
			stop := c.callers(sampleName)
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
			got, shares := c.alias(sampleName)
			if got != step.live {
				t.Errorf("live is version %q, want %q", got, step.live)
			}
			if got := fmt.Sprint(shares); step.shares != "" && got != step.shares || step.shares == "" && len(shares) != 0 {
				t.Errorf("the shares of other versions are %v, want %q", got, step.shares)
			}
			if got := c.versions(); len(got) != step.versions {
				t.Errorf("published versions: got %q, want %d", got, step.versions)
			}
			if step.live != "" {
				if payload, _ := c.invoke(); payload != john {
					t.Errorf("callers get %s", payload)
				}
			}
			if step.fails == "" {
				c.clean()
				c.checkDigest()
				if outputs, err := c.stack.Outputs(t.Context()); err != nil || outputs["liveVersion"].Value != step.live {
					t.Errorf("output liveVersion: got %v %v, want %s", outputs["liveVersion"].Value, err, step.live)
				}
			}
		})
	}
	c.t = t
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

// callers calls a function, where it is live, until the returned function is called, and holds that each call gets the
// right answer.
func (c *checkout) callers(name string) (stop func()) {
	c.t.Helper()
	if live, _ := c.alias(name); live == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	var group sync.WaitGroup
	answers := map[string]int{}
	group.Go(func() {
		for ctx.Err() == nil {
			out, err := lambda.NewFromConfig(c.aws).Invoke(context.WithoutCancel(ctx), &lambda.InvokeInput{FunctionName: aws.String(name + ":live")})
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

// live returns the version that callers of the sample get, "" where there is none.
func (c *checkout) live() string {
	c.t.Helper()
	version, _ := c.alias(sampleName)
	return version
}

// alias returns the version that alias live of a function points at, "" where there is none, and the shares of others.
func (c *checkout) alias(name string) (version string, shares map[string]float64) {
	c.t.Helper()
	alias, err := lambda.NewFromConfig(c.aws).GetAlias(c.t.Context(), &lambda.GetAliasInput{FunctionName: aws.String(name), Name: aws.String("live")})
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
