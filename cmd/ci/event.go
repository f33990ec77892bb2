package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// event is what is used of a workflow's event
// (https://docs.github.com/en/webhooks/webhook-events-and-payloads#pull_request).
type event struct {
	PullRequest struct {
		Number int `json:"number"`
		Head   struct {
			SHA  string     `json:"sha"`
			Repo repository `json:"repo"`
		} `json:"head"`
		User struct {
			Login string `json:"login"`
		} `json:"user"`
	} `json:"pull_request"`
	Repository repository `json:"repository"`
}

type repository struct {
	FullName string `json:"full_name"`
}

func (c *ci) event() (*event, error) {
	text, err := os.ReadFile(c.env("GITHUB_EVENT_PATH"))
	if err != nil {
		return nil, fmt.Errorf("reading the event: %w", err)
	}
	e := &event{}
	if err := json.Unmarshal(text, e); err != nil {
		return nil, fmt.Errorf("reading the event: %w", err)
	}
	return e, nil
}

// trusted says whether the pull request may see the cloud: not where it comes from a fork, which gets no token for it, and
// not where Dependabot made it, whose new code nobody has read. The jobs that ask for the token say so themselves; this
// saves jobs that would fail.
func (e *event) trusted() bool {
	return e.PullRequest.Head.Repo.FullName == e.Repository.FullName && e.PullRequest.User.Login != "dependabot[bot]"
}

// plan tells the stacks that the pull request affects, and whether it may see the cloud.
func (c *ci) plan([]string) error {
	e, err := c.event()
	if err != nil {
		return err
	}
	changed, err := c.changed()
	if err != nil {
		return err
	}
	stacks, err := affected(changed)
	if err != nil {
		return err
	}
	list, err := json.Marshal(stacks)
	if err != nil {
		return err
	}
	if err := c.output("stacks", string(list)); err != nil {
		return err
	}
	return c.output("cloud", fmt.Sprint(e.trusted() && len(stacks) > 0))
}

// changed lists the files that differ from the base: GitHub checks a pull request out as a merge, whose first parent is
// the base. A file that moved is two: the one that is gone, and the one that came.
func (c *ci) changed() ([]string, error) {
	out, err := c.start("git", "diff", "--name-only", "--no-renames", "-z", "HEAD^1", "HEAD")
	return strings.FieldsFunc(out, func(r rune) bool { return r == 0 }), err
}

// affected returns the stacks that changed files can have an effect on: a stack's settings on that one, what is no part
// of any deployment on none, and all else on all.
func affected(changed []string) ([]string, error) {
	files, err := filepath.Glob("Pulumi.*.yaml")
	if err != nil {
		return nil, err
	}
	stacks, all := []string{}, false
	for _, file := range changed {
		if settings, _ := filepath.Match("Pulumi.*.yaml", file); settings || inert(file) {
			continue
		}
		all = true
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "Pulumi."), ".yaml")
		if name != "local" && (all || slices.Contains(changed, file)) {
			stacks = append(stacks, name)
		}
	}
	return stacks, nil
}

// inert says that a file is no part of a deployment.
func inert(file string) bool {
	top, _, _ := strings.Cut(file, "/")
	return slices.Contains([]string{".github", ".ci", "bootstrap", "docs", "tools", "Makefile"}, top) ||
		strings.HasPrefix(file, "cmd/") || strings.HasPrefix(file, "internal/local/") ||
		(top != "src" && (strings.HasSuffix(file, ".md") || strings.HasSuffix(file, "_test.go")))
}
