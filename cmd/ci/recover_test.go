package main

import "testing"

func TestAnIDFollowsFromTheInputs(t *testing.T) {
	for _, c := range []struct {
		kind   string
		inputs map[string]any
		want   string
	}{
		{"aws:lambda/alias:Alias", map[string]any{"functionName": "name-of-mine", "name": "live"}, "name-of-mine/live"},
		{"aws:iam/rolePolicy:RolePolicy", map[string]any{"role": "role-name", "name": "logs"}, "role-name:logs"},
		{"aws:lambda/alias:Alias", map[string]any{"name": "live"}, ""}, // an input that was not known
		{"aws:lambda/invocation:Invocation", map[string]any{"functionName": "f"}, ""},
	} {
		if got := importID(c.kind, c.inputs); got != c.want {
			t.Errorf("%s of %v: got %q, want %q", c.kind, c.inputs, got, c.want)
		}
	}
}
