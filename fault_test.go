package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"

	"sample-python-arm64-lambda/internal/local/provider"
)

// TestEveryOperationMayFail lets each operation of each resource fail once: the update says which and why, the alias
// stays where it was, and the next update converges.
func TestEveryOperationMayFail(t *testing.T) {
	c := newCheckout(t)
	c.plain()
	var failing string // "create aws:iam/role:Role"
	server, err := provider.ServeAWS(t.Context(), func(string) {}, provider.WithFault(func(op, token string) error {
		if failing == op+" "+token {
			return errors.New("a fault of the test")
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() }) //nolint:errcheck // the test's own result is told
	c.providers = map[string]int{"aws": server.Port()}
	c.restage()
	c.set("layer", "true")
	c.set("artifactBucket", "create")

	fail := func(t *testing.T, run func(out *transcript) error) {
		t.Helper()
		var out transcript
		err := run(&out)
		token := strings.Fields(failing)[1]
		kind := token[strings.LastIndex(token, ":")+1:]
		if err == nil || !strings.Contains(out.String()+fmt.Sprint(err), "a fault of the test") || !strings.Contains(out.String()+fmt.Sprint(err), kind) {
			t.Errorf("got %v, want a fault of %s told:\n%s", err, kind, &out)
		}
		failing = ""
	}
	up := func(out *transcript) error {
		_, err := c.stack.Up(t.Context(), optup.ProgressStreams(out), optup.ErrorProgressStreams(out))
		return err
	}
	kinds := []string{
		"aws:cloudwatch/logGroup:LogGroup", "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy", "aws:lambda/function:Function",
		"aws:lambda/invocation:Invocation", "aws:lambda/alias:Alias", "aws:lambda/layerVersion:LayerVersion",
		"aws:s3/bucketV2:BucketV2", "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
		"aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2",
		"aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2", "aws:s3/bucketObjectv2:BucketObjectv2",
	}
	for _, token := range kinds {
		failing = "create " + token
		t.Run(failing, func(t *testing.T) {
			c.t = t
			fail(t, up)
			c.deploy()
			if changes := c.preview(); len(changes) != 0 {
				t.Errorf("after the fault: preview shows %v", changes)
			}
			c.destroy()
		})
	}
	c.t = t
	c.up()
	for i, what := range []string{
		"create aws:s3/bucketObjectv2:BucketObjectv2", "update aws:lambda/function:Function", "create aws:lambda/invocation:Invocation",
		"update aws:lambda/alias:Alias", "delete aws:s3/bucketObjectv2:BucketObjectv2",
	} {
		failing = what
		t.Run("a change, "+what, func(t *testing.T) {
			c.t = t
			before := c.live()
			c.replaceIn("src/main.py", "def handler", fmt.Sprintf("# %d\ndef handler", i))
			fail(t, up)
			if now := c.live(); (now != before) != strings.HasPrefix(what, "delete") { // what was replaced is deleted in the end
				t.Errorf("live went from version %s to %s", before, now)
			}
			c.deploy()
			if now := c.live(); now == before {
				t.Errorf("live stayed at version %s when the fault was gone", before)
			}
			if changes := c.preview(); len(changes) != 0 {
				t.Errorf("after the fault: preview shows %v", changes)
			}
		})
	}
	c.t = t
	for _, token := range kinds {
		if token == "aws:lambda/invocation:Invocation" {
			continue // deleting it asks nothing of AWS
		}
		failing = "delete " + token
		t.Run(failing, func(t *testing.T) {
			c.t = t
			fail(t, func(*transcript) error { _, err := c.stack.Destroy(t.Context()); return err })
			c.deploy()
		})
	}
	c.t = t
	c.destroy()
}
