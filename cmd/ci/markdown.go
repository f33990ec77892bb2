package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// difference shows two bundles beside each other; before is nil where there was none. What is in a layer is not compared.
func difference(before, after *facts, name string, sources []string) string {
	if before == nil {
		before = &facts{}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| | %s | after |\n|---|---|---|\n", name)
	row := func(what, old, now string) {
		if old == now {
			now = "same"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", what, old, now)
	}
	row("SHA-256", code(short(before.SHA256)), code(short(after.SHA256)))
	row("zipped, bytes", size(before.ZippedBytes), size(after.ZippedBytes)+growth(before.ZippedBytes, after.ZippedBytes))
	row("unzipped, bytes", size(before.UnzippedBytes), size(after.UnzippedBytes)+growth(before.UnzippedBytes, after.UnzippedBytes))
	all := maps.Clone(before.Packages)
	if all == nil {
		all = map[string]string{}
	}
	if maps.Copy(all, after.Packages); after.Packages == nil {
		clear(all)
	}
	for _, p := range slices.Sorted(maps.Keys(all)) {
		old, now := before.Packages[p], after.Packages[p]
		switch {
		case old == now:
		case old == "":
			row("added "+code(p), "", code(now))
		case now == "":
			row("removed "+code(p), code(old), "")
		default:
			row("changed "+code(p), code(old), code(now))
		}
	}
	if len(sources) > 0 {
		fmt.Fprintf(&b, "\nSources changed: %s\n", codes(sources))
	}
	fmt.Fprintf(&b, "\nSHA-256 after: %s\n", code(after.SHA256))
	return b.String()
}

// short is the part of a digest that tells two apart.
func short(digest string) string { return digest[:min(12, len(digest))] }

// codes is a list of texts as they are.
func codes(texts []string) string {
	var all []string
	for _, text := range texts {
		all = append(all, code(text))
	}
	return strings.Join(all, ", ")
}

// groups are texts, each with the stacks that it is true for.
type groups []struct {
	text   string
	stacks []string
}

func (g *groups) add(text, stack string) {
	for i := range *g {
		if (*g)[i].text == text {
			(*g)[i].stacks = append((*g)[i].stacks, stack)
			return
		}
	}
	*g = append(*g, groups{{text, []string{stack}}}...)
}

// previewHead begins what is said of a stack, bundleHead what is said of its bundle.
const (
	previewHead = "#### Stack %s\n\n"
	bundleHead  = "#### Bundle"
)

// merged puts the previews of stacks together; what they have in common is said once.
func merged(previews []string) string {
	var stacks, bundles groups
	for _, text := range previews {
		head, rest, _ := strings.Cut(text, "\n\n")
		stack := strings.TrimPrefix(head, "#### Stack ")
		changes, bundle, found := strings.Cut(rest, bundleHead)
		stacks.add(changes, stack)
		if found {
			bundles.add(bundle, stack)
		}
	}
	var b strings.Builder
	for _, g := range stacks {
		fmt.Fprintf(&b, "\n"+previewHead+"%s\n", strings.Join(g.stacks, ", "), strings.TrimSpace(g.text))
	}
	for _, g := range bundles {
		of := ""
		if len(g.stacks) < len(previews) {
			of = " of " + strings.Join(g.stacks, ", ")
		}
		fmt.Fprintf(&b, "\n%s%s%s\n", bundleHead, of, strings.TrimRight(g.text, "\n"))
	}
	return b.String()
}

// size is a number of bytes, with its thousands apart.
func size(n int64) string {
	if n == 0 {
		return ""
	}
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func growth(old, now int64) string {
	if old == 0 || old == now {
		return ""
	}
	return fmt.Sprintf(" (%+.1f %%)", 100*float64(now-old)/float64(old))
}

// code shows text as it is: nothing in it is Markdown, and it stays in its cell.
func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + strings.NewReplacer("`", "'", "|", "¦", "\n", " ", "\r", " ").Replace(text) + "`"
}

// fence shows lines as they are.
func fence(text string) string {
	return "```\n" + strings.TrimRight(strings.ReplaceAll(text, "```", "'''"), "\n") + "\n```\n"
}
