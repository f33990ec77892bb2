package provider

import (
	"net/url"
	"strings"
)

var role = &kind{
	inputs: schema{
		"assumeRolePolicy":   {required: true, json: true},
		"description":        {},
		"maxSessionDuration": {def: 3600.0}, // seconds, the API's default
		"name":               {autoName: 64, replace: true},
		"path":               {replace: true, def: "/"},
		"tags":               {},
	},
	outputs: []string{"arn", "createDate", "uniqueId"},
	tagged:  &tagging{tag: "iam:TagRole", untag: "iam:UntagRole", key: "roleName", list: true},
	create: func(c *call) error {
		return c.make(c.in.string("name"), "iam:CreateRole", c.in, object{
			"roleName": c.in["name"], "assumeRolePolicyDocument": c.in["assumeRolePolicy"], "tags": tagList(c.tags())})
	},
	read: func(c *call) (object, error) {
		answer, err := c.do("iam:GetRole", object{"roleName": c.id})
		if err != nil {
			return nil, err
		}
		r := answer.object("role")
		policy, err := url.QueryUnescape(r.string("assumeRolePolicyDocument"))
		return r.with(object{"name": c.id, "uniqueId": r["roleId"], "assumeRolePolicy": policy, "tags": tagMap(r.list("tags"))}), err
	},
	update: func(c *call) error {
		if c.changed["assumeRolePolicy"] {
			if err := c.try("iam:UpdateAssumeRolePolicy", object{"roleName": c.id, "policyDocument": c.in["assumeRolePolicy"]}); err != nil {
				return err
			}
		}
		if !c.anyChanged("description", "maxSessionDuration") {
			return nil
		}
		return c.try("iam:UpdateRole", object{
			"roleName": c.id, "description": c.in.string("description"), "maxSessionDuration": c.in["maxSessionDuration"]})
	},
	delete: func(c *call) error { return c.try("iam:DeleteRole", object{"roleName": c.id}) },
}

// rolePolicy is a policy within a role; its ID is ROLE:NAME.
var rolePolicy = &kind{
	inputs: schema{
		"name":   {autoName: 128, replace: true},
		"policy": {required: true, json: true},
		"role":   {required: true, replace: true},
	},
	create: putRolePolicy,
	read: func(c *call) (object, error) {
		p, err := c.do("iam:GetRolePolicy", c.names(":", "roleName", "policyName"))
		if err != nil {
			return nil, err
		}
		policy, err := url.QueryUnescape(p.string("policyDocument"))
		return object{"role": p["roleName"], "name": p["policyName"], "policy": policy}, err
	},
	update: putRolePolicy,
	delete: func(c *call) error { return c.try("iam:DeleteRolePolicy", c.names(":", "roleName", "policyName")) },
}

func putRolePolicy(c *call) error {
	return c.make(c.in.string("role")+":"+c.in.string("name"), "iam:PutRolePolicy", object{
		"roleName": c.in["role"], "policyName": c.in["name"], "policyDocument": c.in["policy"]})
}

// names splits an ID into two parameters; the second is left out where the ID has one part only.
func (c *call) names(separator, first, second string) object {
	a, b, ok := strings.Cut(c.id, separator)
	if !ok {
		return object{first: a}
	}
	return object{first: a, second: b}
}

// rolePolicyAttachment gives a role a managed policy; its ID is ROLE/ARN, the form that the real provider imports.
var rolePolicyAttachment = &kind{
	inputs: schema{
		"policyArn": {required: true, replace: true},
		"role":      {required: true, replace: true},
	},
	create: func(c *call) error {
		return c.make(c.in.string("role")+"/"+c.in.string("policyArn"), "iam:AttachRolePolicy", c.in, object{"roleName": c.in["role"]})
	},
	read: func(c *call) (object, error) {
		want := c.names("/", "role", "policyArn")
		answer, err := c.do("iam:ListAttachedRolePolicies", object{"roleName": want["role"]}) // IAM's quota is 25, one page
		if err != nil {
			return nil, err
		}
		for _, p := range answer.list("attachedPolicies") {
			if object(p.(map[string]any))["policyArn"] == want["policyArn"] {
				return want, nil
			}
		}
		return nil, errGone
	},
	delete: func(c *call) error { return c.try("iam:DetachRolePolicy", c.names("/", "roleName", "policyArn")) },
}
