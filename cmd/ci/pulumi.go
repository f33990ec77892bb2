package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// name returns the stack's name for the CLI, which in Pulumi Cloud has the organization before it.
func (c *ci) name() string {
	if org := c.env("PULUMI_ORG"); org != "" {
		return org + "/" + c.stack
	}
	return c.stack
}

// settingFlags hand what CI knows and the stack's file does not to the program.
func (c *ci) settingFlags() (flags []string) {
	set := func(key, value string) {
		if value != "" {
			flags = append(flags, "--config-path", "--config", key+"="+value)
		}
	}
	set("registry", c.env("REGISTRY"))
	set("image", c.env("IMAGE"))
	set("artifactBucket", c.env("ARTIFACT_BUCKET"))
	for _, entry := range strings.Fields(c.sha256) {
		if function, digest, several := strings.Cut(entry, "="); several {
			set("functions."+function+".bundleSha256", digest)
		} else {
			set("bundleSha256", entry)
		}
	}
	return flags
}

// open says whether the backend has the stack, and puts the stack's data key, itself encrypted by KMS, into its settings:
// the key is kept with the state, and a checkout does not have it. No other stack's state is read.
func (c *ci) open() (found bool, err error) {
	out, err := c.start("pulumi", "stack", "export", "--stack", c.name())
	if err != nil {
		if strings.Contains(err.Error(), "no stack named") {
			return false, nil
		}
		return false, err
	}
	var state struct {
		Deployment struct {
			Provider struct {
				Type  string
				State struct{ URL, EncryptedKey string }
			} `json:"secrets_providers"`
		}
	}
	if err := json.Unmarshal([]byte(out), &state); err != nil {
		return false, fmt.Errorf("reading the state of stack %q: %w", c.stack, err)
	}
	file := "Pulumi." + c.stack + ".yaml"
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	var own struct{ Secretsprovider, Encryptedkey string }
	if err := yaml.Unmarshal(text, &own); err != nil {
		return false, fmt.Errorf("reading %q: %w", file, err)
	}
	p := state.Deployment.Provider
	if p.Type != "cloud" || own.Encryptedkey != "" {
		return true, nil
	}
	key, err := yaml.Marshal(map[string]string{"secretsprovider": p.State.URL, "encryptedkey": p.State.EncryptedKey})
	if err != nil {
		return false, err
	}
	return true, os.WriteFile(file, append(append(text, '\n'), key...), 0o644)
}

// outputs are those of a function that CI uses; they are empty before its first deployment.
type outputs struct {
	FunctionName string `json:"functionName"`
	AliasArn     string `json:"aliasArn"`
	Version      string `json:"version"`
	LiveVersion  string `json:"liveVersion"`
	Image        string `json:"image"`
	Bundle       facts  `json:"bundle"`
}

// deployed are the outputs of a stack's functions by their keys; one without a key where it has no several.
type deployed map[string]outputs

func (c *ci) outputs() (deployed, error) {
	out, err := c.start("pulumi", "stack", "output", "--json", "--stack", c.name())
	if err != nil {
		return nil, err
	}
	var o struct {
		outputs
		Functions deployed `json:"functions"`
	}
	if err := json.Unmarshal([]byte(out), &o); err != nil {
		return nil, fmt.Errorf("reading the outputs of stack %q: %w", c.stack, err)
	}
	if len(o.Functions) > 0 {
		return o.Functions, nil
	}
	return deployed{"": o.outputs}, nil
}

// image is the one with a digest that all functions have their dependencies from, "" where there is none.
func (d deployed) image() (image string) {
	for _, o := range d {
		if image != "" && o.Image != image || !strings.Contains(o.Image, "@sha256:") {
			return ""
		}
		image = o.Image
	}
	return image
}

// digests tells the bundles apart, as -sha256 takes them: for one of several functions with its key before it.
func (d deployed) digests() string {
	var all []string
	for _, function := range slices.Sorted(maps.Keys(d)) {
		digest := d[function].Bundle.SHA256
		if layer := d[function].Bundle.LayerSHA256; layer != "" {
			digest += "," + layer
		}
		if function != "" {
			digest = function + "=" + digest
		}
		all = append(all, digest)
	}
	return strings.Join(all, " ")
}

// functionSetting is the line of a stack's settings that names its function.
var functionSetting = regexp.MustCompile(`(?m)^\s+"?(\S+:)?functionName"?:.*\n`)

// up deploys the stack.
func (c *ci) up([]string) error {
	file := "Pulumi." + c.stack + ".yaml"
	if c.like != "" && !isFile(file) {
		text, err := os.ReadFile("Pulumi." + c.like + ".yaml")
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, functionSetting.ReplaceAll(text, nil), 0o644); err != nil {
			return err
		}
	}
	if found, err := c.open(); err != nil {
		return err
	} else if !found {
		if _, err := c.start("pulumi", "stack", "init", c.name(), "--non-interactive", "--secrets-provider", c.env("PULUMI_SECRETS_PROVIDER")); err != nil {
			return err
		}
	}
	all, err := loadSettings(".", c.stack)
	if err != nil {
		return err
	}
	before, err := c.outputs()
	if err != nil {
		return err
	}
	if err := c.show("up", "--yes"); err != nil {
		return err
	}
	after, err := c.outputs()
	if err != nil {
		return err
	}
	told := []error{c.output("sha256", after.digests()), c.output("image", after.image())}
	for _, s := range all {
		told = append(told, c.summary(live(c.stack, s.tested, before[s.function], after[s.function])))
	}
	return errors.Join(told...)
}

// live tells what went live: the newest version, unless a setting has callers get another one.
func live(stack string, tested bool, before, after outputs) string {
	was, passed, newest := "", "", ""
	if before.LiveVersion != "" && before.LiveVersion != after.LiveVersion {
		was = ", was " + code(before.LiveVersion)
	}
	if tested {
		passed = ", which passed its smoke test"
	}
	if after.Version != after.LiveVersion {
		newest = fmt.Sprintf("; the newest is %s, see `liveVersion` and `canaryWeight` of the stack", code(after.Version))
	}
	return fmt.Sprintf("### Live on %s\n\n%s version %s%s%s%s\n\n%s\n\n%s", code(stack), code(after.FunctionName),
		code(after.LiveVersion), passed, was, newest, code(after.AliasArn), difference(&before.Bundle, &after.Bundle, "before", nil))
}

// lockedOut matches what the CLI says of a lock on the state, in a bucket and in Pulumi Cloud.
var lockedOut = regexp.MustCompile("is currently locked|Another update is currently in progress")

// show runs a Pulumi operation on the stack with its output shown.
func (c *ci) show(verb string, flags ...string) error {
	args := append([]string{verb, "--stack", c.name(), "--non-interactive"}, flags...)
	if verb != "destroy" {
		args = append(args, c.settingFlags()...)
	}
	cmd := exec.CommandContext(context.WithoutCancel(c.ctx), "pulumi", args...) // a ^C gets to it too: it ends what is under way
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = c.stdout, io.MultiWriter(c.stderr, &said)
	err := cmd.Run()
	switch {
	case err != nil && lockedOut.Match(said.Bytes()):
		return fmt.Errorf("another deployment of stack %q is under way, or was killed; if it was killed: go run ./cmd/ci recover -stack %[1]s", c.stack)
	case err != nil:
		return fmt.Errorf("pulumi %s of stack %q: %w", verb, c.stack, err)
	}
	return nil
}

// down destroys the stack and removes it.
func (c *ci) down([]string) error {
	if found, err := c.open(); err != nil || !found {
		return err
	}
	return c.show("destroy", "--yes", "--remove")
}
