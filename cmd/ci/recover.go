package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"gopkg.in/yaml.v3"
)

// importIDs tells, for types whose name is taken once they exist, the ID by which their provider reads them, in terms of
// their inputs. A resource of another type can be created again: it replaces what is there, or leaves nothing behind.
var importIDs = map[string]string{
	"aws:cloudwatch/logGroup:LogGroup":   "name",
	"aws:iam/role:Role":                  "name",
	"aws:iam/rolePolicy:RolePolicy":      "role:name",
	"aws:lambda/function:Function":       "name",
	"aws:lambda/alias:Alias":             "functionName/name",
	"aws:lambda/functionUrl:FunctionUrl": "functionName/qualifier",
	"aws:s3/bucketV2:BucketV2":           "bucket",
}

// layerVersion is a type whose ID only Lambda knows.
const layerVersion = "aws:lambda/layerVersion:LayerVersion"

// recover ends what a killed deployment left: its lock on the state, and resources that it created without the state being
// told of them. Those go into the state and are read from the account, so that the next deployment goes on from there.
func (c *ci) recover([]string) error {
	if found, err := c.open(); err != nil {
		return err
	} else if !found {
		return fmt.Errorf("the backend has no stack %q", c.stack)
	}
	// Without a lock it does nothing.
	if out, err := c.start("pulumi", "cancel", "--yes", "--non-interactive", "--stack", c.name()); err != nil {
		return fmt.Errorf("unlocking: %w\n%s", err, out)
	}
	out, err := c.start("pulumi", "stack", "export", "--stack", c.name())
	if err != nil {
		return err
	}
	state := map[string]any{}
	decoder := json.NewDecoder(strings.NewReader(out))
	decoder.UseNumber()
	if err := decoder.Decode(&state); err != nil {
		return fmt.Errorf("reading the state of stack %q: %w", c.stack, err)
	}
	if err := c.adopt(state); err != nil {
		return err
	}
	return c.show("refresh", "--yes", "--skip-preview")
}

// adopt writes the state with the resources whose creation was pending, as far as their IDs are known. The refresh that
// follows removes those that do not exist.
func (c *ci) adopt(state map[string]any) error {
	deployment, _ := state["deployment"].(map[string]any)
	resources, _ := deployment["resources"].([]any)
	operations, _ := deployment["pending_operations"].([]any)
	known := map[any]bool{} // URNs and IDs
	for _, r := range resources {
		r, _ := r.(map[string]any)
		known[r["urn"]], known[r["id"]] = true, true
	}
	for _, op := range operations {
		op, _ := op.(map[string]any)
		r, _ := op["resource"].(map[string]any)
		inputs, _ := r["inputs"].(map[string]any)
		if op["type"] != "creating" || known[r["urn"]] {
			continue
		}
		if name, ok := inputs["layerName"].(string); ok && r["type"] == layerVersion {
			if err := c.removeLayers(name, known); err != nil {
				return err
			}
		}
		if id := importID(fmt.Sprint(r["type"]), inputs); id != "" {
			fmt.Fprintf(c.stdout, "looking for %s, which may have been created\n", id)
			r["id"], r["outputs"] = id, map[string]any{}
			resources, known[r["urn"]] = append(resources, r), true
		}
	}
	if len(operations) == 0 {
		return nil
	}
	deployment["resources"] = resources
	delete(deployment, "pending_operations")
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(c.ctx, "pulumi", "stack", "import", "--stack", c.name())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), c.stdout, c.stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("writing the state of stack %q: %w", c.stack, err)
	}
	return nil
}

// inputName matches the name of an input in importIDs.
var inputName = regexp.MustCompile(`\w+`)

// importID returns the ID of a resource from its inputs, "" where it does not matter or cannot be told.
func importID(kind string, inputs map[string]any) string {
	known := true
	id := inputName.ReplaceAllStringFunc(importIDs[kind], func(name string) string {
		value, ok := inputs[name].(string)
		known = known && ok
		return value
	})
	if !known {
		return ""
	}
	return id
}

// removeLayers deletes the versions of a layer that the state does not know. The layer's name is the stack's own, so
// they are nobody's.
func (c *ci) removeLayers(name string, known map[any]bool) error {
	var options []func(*config.LoadOptions) error
	if region := c.region(); region != "" {
		options = append(options, config.WithRegion(region))
	}
	cfg, err := config.LoadDefaultConfig(c.ctx, options...)
	if err != nil {
		return err
	}
	client := lambda.NewFromConfig(cfg)
	pages := lambda.NewListLayerVersionsPaginator(client, &lambda.ListLayerVersionsInput{LayerName: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(c.ctx)
		if err != nil {
			return fmt.Errorf("listing the versions of layer %q: %w", name, err)
		}
		for _, v := range page.LayerVersions {
			if known[*v.LayerVersionArn] {
				continue
			}
			fmt.Fprintf(c.stdout, "deleting version %d of layer %q, which the state does not know\n", v.Version, name)
			if _, err := client.DeleteLayerVersion(c.ctx, &lambda.DeleteLayerVersionInput{LayerName: &name, VersionNumber: &v.Version}); err != nil {
				return fmt.Errorf("deleting version %d of layer %q: %w", v.Version, name, err)
			}
		}
	}
	return nil
}

// region returns the AWS region of the stack's settings, "" where they leave it to the environment.
func (c *ci) region() string {
	var own struct{ Config map[string]any }
	if text, err := os.ReadFile("Pulumi." + c.stack + ".yaml"); err != nil || yaml.Unmarshal(text, &own) != nil {
		return "" // the engine tells what is wrong with them
	}
	region, _ := own.Config["aws:region"].(string)
	return region
}
