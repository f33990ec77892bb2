package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"
)

// comments are marked, so that the next run finds its own.
const commentMark = "<!-- ci preview -->"

// maxBody is how long GitHub takes the body of an issue or a comment, in characters
// (https://github.com/PyGithub/PyGithub/issues/1906 has its answer to a longer one).
const maxBody = 65_536

// post is an issue or a comment (https://docs.github.com/en/rest/issues).
type post struct {
	ID     int    `json:"id"`
	Number int    `json:"number"`
	Title  string `json:"title"`
	Body   string `json:"body"`
	User   struct {
		Type string `json:"type"`
	} `json:"user"`
}

// comment writes the pull request's one comment, from the files of the previews. Without any it only corrects the comment
// of an earlier push.
func (c *ci) comment(dirs []string) error {
	e, err := c.event()
	if err != nil {
		return err
	}
	var files []string
	for _, dir := range dirs {
		found, err := filepath.Glob(filepath.Join(dir, "*.md"))
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	var previews []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		previews = append(previews, string(text))
	}
	said := merged(previews)
	if len(files) == 0 {
		said = "\nNone: it affects no stack, or its bundle was refused.\n"
	}
	text := cut(fmt.Sprintf("%s\n### Preview of %.7s\n%s", commentMark, e.PullRequest.Head.SHA, said), fmt.Sprintf("\n[The log](%s)\n", c.runURL()))
	issue := fmt.Sprintf("/issues/%d/comments", e.PullRequest.Number)
	mine, err := c.find(issue+"?", func(p post) bool { return strings.HasPrefix(p.Body, commentMark) })
	if err != nil {
		return err
	}
	body := map[string]string{"body": text}
	if mine == nil && len(files) == 0 {
		return nil
	}
	if mine == nil {
		return c.api(http.MethodPost, issue, body, nil)
	}
	return c.api(http.MethodPatch, fmt.Sprintf("/issues/comments/%d", mine.ID), body, nil)
}

// cut returns a text and its end, of which the text is cut at a line where GitHub would refuse both.
func cut(text, end string) string {
	const note = "\n\nThe rest is in the log.\n"
	if room := maxBody - utf8.RuneCountInString(end); utf8.RuneCountInString(text) > room {
		text = string([]rune(text)[:room-len("\n```"+note)])
		text = text[:strings.LastIndex(text, "\n")+1]
		if strings.Count(text, "```")%2 == 1 {
			text += "```"
		}
		text += note
	}
	return text + end
}

// runURL is the page of the workflow's run.
func (c *ci) runURL() string {
	return fmt.Sprintf("%s/%s/actions/runs/%s", c.env("GITHUB_SERVER_URL"), c.env("GITHUB_REPOSITORY"), c.env("GITHUB_RUN_ID"))
}

// driftTitle is the title of the issue about drift, by which the next run finds it.
const driftTitle = "Drift: the account is not what was deployed"

// reportDrift opens or updates the issue, or closes it where report is empty.
func (c *ci) reportDrift(report string) error {
	open, err := c.find("/issues?state=open&", func(p post) bool { return p.Title == driftTitle })
	switch {
	case err != nil:
		return err
	case open == nil && report == "":
		return nil
	case open == nil:
		return c.api(http.MethodPost, "/issues", map[string]string{"title": driftTitle, "body": report}, nil)
	case report == "":
		return c.api(http.MethodPatch, fmt.Sprintf("/issues/%d", open.Number), map[string]string{"state": "closed", "body": "No drift any more.\n"}, nil)
	}
	return c.api(http.MethodPatch, fmt.Sprintf("/issues/%d", open.Number), map[string]string{"body": report}, nil)
}

// find returns the first post of a bot in a list that is it, nil where there is none. A person's is never taken for ours.
func (c *ci) find(list string, is func(post) bool) (*post, error) {
	const most = 100 // per page, GitHub's limit
	for page := 1; ; page++ {
		var posts []post
		if err := c.api(http.MethodGet, fmt.Sprintf("%sper_page=%d&page=%d", list, most, page), nil, &posts); err != nil {
			return nil, err
		}
		for _, p := range posts {
			if p.User.Type == "Bot" && is(p) {
				return &p, nil
			}
		}
		if len(posts) < most {
			return nil, nil
		}
	}
}

// api calls the GitHub API of the repository with the job's token.
func (c *ci) api(method, path string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	url := c.env("GITHUB_API_URL") + "/repos/" + c.env("GITHUB_REPOSITORY") + path
	req, err := http.NewRequestWithContext(c.ctx, method, url, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.env("GITHUB_TOKEN"))
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	client := &http.Client{Timeout: time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking GitHub: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("reading GitHub's answer to %s %s: %w", method, path, err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: GitHub says %s: %s", method, path, resp.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
