package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// changes is what is used of the CLI's JSON for a preview or a refresh.
type changes struct {
	Steps []struct {
		Op             string         `json:"op"`
		URN            string         `json:"urn"`
		DiffReasons    []string       `json:"diffReasons"`
		ReplaceReasons []string       `json:"replaceReasons"`
		DetailedDiff   map[string]any `json:"detailedDiff"`
	} `json:"steps"`
	ChangeSummary map[string]int `json:"changeSummary"`
	Diagnostics   []struct {
		Message  string `json:"message"`
		Severity string `json:"severity"`
	} `json:"diagnostics"`
}

// signs are the operations that are shown; a replacement's parts are not.
var signs = map[string]string{"create": "➕", "update": "✏️", "delete": "➖", "replace": "♻️", "refresh": "✏️"}

// previewed runs a preview or a refresh that changes nothing. The error says that it failed; the changes may tell why.
func (c *ci) previewed(args ...string) (*changes, error) {
	out, err := c.start("pulumi", append(args, "--stack", c.name(), "--non-interactive", "--json")...)
	ch := &changes{}
	if jsonErr := json.Unmarshal([]byte(out), ch); jsonErr != nil {
		return nil, errors.Join(err, fmt.Errorf("reading what pulumi %s says: %w\n%s", args[0], jsonErr, out))
	}
	return ch, err
}

// table lists what changes, nothing where nothing does.
func (ch *changes) table() string {
	var b strings.Builder
	for _, s := range ch.Steps {
		sign, shown := signs[s.Op]
		parts := strings.Split(s.URN, "::") // urn:pulumi:STACK::PROJECT::TYPES::NAME
		if !shown || len(parts) < 4 {
			continue
		}
		types := strings.Split(parts[2], "$")
		kind := types[len(types)-1]
		if kind == "docker:index/image:Image" { // it is nothing in the account: what it changes is in the bundle
			continue
		}
		properties := map[string]bool{}
		for _, p := range slices.Concat(s.DiffReasons, s.ReplaceReasons, slices.Collect(maps.Keys(s.DetailedDiff))) {
			properties[p] = true
		}
		if s.Op == "refresh" && len(properties) == 0 {
			continue
		}
		fmt.Fprintf(&b, "| %s %s | %s | %s | %s |\n", sign, s.Op, code(parts[3]), code(kind), code(strings.Join(slices.Sorted(maps.Keys(properties)), ", ")))
	}
	if b.Len() == 0 {
		return ""
	}
	return "| | resource | type | what changes |\n|---|---|---|---|\n" + b.String()
}

// errors lists what the engine says is wrong.
func (ch *changes) errors() string {
	var all []string
	for _, d := range ch.Diagnostics {
		if d.Severity == "error" {
			all = append(all, strings.TrimSpace(d.Message))
		}
	}
	return strings.Join(all, "\n")
}

// preview writes what deploying the stack would change, and in the bundle what.
func (c *ci) preview([]string) error {
	section, failed := c.previewSection()
	text := fmt.Sprintf(previewHead+"%s", code(c.stack), section)
	return errors.Join(os.WriteFile(c.out, []byte(text), 0o644), c.summary(text), failed)
}

func (c *ci) previewSection() (string, error) {
	found, err := c.open()
	if err != nil {
		return "Its state could not be read.\n", err
	}
	if !found {
		return "It does not exist yet: the first deployment makes it.\n", nil
	}
	ch, err := c.previewed(append([]string{"preview"}, c.settingFlags()...)...)
	if err != nil {
		if ch != nil {
			c.annotate("error", place{}, "preview of "+c.stack, ch.errors())
			return "The preview failed.\n\n" + fence(ch.errors()), err
		}
		return "The preview failed.\n", err
	}
	table := ch.table()
	if table == "" {
		return "Nothing changes.\n", nil
	}
	return c.bundleSection(table)
}

// bundleSection adds what changes in the bundles to what changes in the stack.
func (c *ci) bundleSection(table string) (string, error) {
	all, err := loadSettings(".", c.stack)
	if err != nil {
		return table, err
	}
	deployed, err := c.outputs()
	if err != nil {
		return table, err
	}
	changed, err := c.changed()
	if err != nil {
		return table, err
	}
	for _, s := range all {
		before := deployed[s.function].Bundle
		after, err := c.inspect(s)
		if err != nil {
			return table, err
		}
		table += "\n" + s.heading(bundleHead) + difference(&before, after, "deployed", sources(s, changed))
	}
	return table, nil
}

// drift compares stacks with the account, and reports in the one issue. A stack that cannot be compared fails it, after the
// others; the issue then tells what they have, and stays open where they have nothing.
func (c *ci) drift(stacks []string) error {
	var report strings.Builder
	var failed error
	for _, c.stack = range stacks {
		table, err := c.drifted()
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("comparing stack %q: %w", c.stack, err))
		}
		if table != "" {
			fmt.Fprintf(&report, "#### Stack %s\n\n%s\n", code(c.stack), table)
		}
	}
	text := report.String()
	if text == "" && failed != nil {
		return failed
	}
	if text != "" {
		text = cut(text, fmt.Sprintf("Run `pulumi refresh` to take it over, or deploy to undo it.\n\nFound by %s\n", c.runURL()))
	}
	return errors.Join(failed, c.summary(text), c.reportDrift(text))
}

// drifted lists what the account has otherwise than the stack's state, "" where the stack does not exist.
func (c *ci) drifted() (string, error) {
	if found, err := c.open(); err != nil || !found {
		return "", err
	}
	ch, err := c.previewed("refresh", "--preview-only", "--expect-no-changes")
	if err != nil && ch != nil && ch.table() != "" {
		return ch.table(), nil
	}
	return "", err
}
