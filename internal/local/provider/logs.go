package provider

import "strings"

var logGroup = &kind{
	inputs: schema{
		"logGroupClass":   {replace: true, sticky: true},
		"name":            {autoName: 512, replace: true},
		"retentionInDays": {def: 0.0}, // for ever
		"skipDestroy":     {local: true, def: false},
		"tags":            {},
	},
	outputs: []string{"arn"},
	tagged:  &tagging{tag: "logs:TagResource", untag: "logs:UntagResource", key: "resourceArn"},
	create: func(c *call) error {
		name := c.in.string("name")
		if err := c.make(name, "logs:CreateLogGroup", c.in, object{"logGroupName": name, "tags": c.tags()}); err != nil {
			return err
		}
		return setRetention(c)
	},
	read: func(c *call) (object, error) {
		answer, err := c.do("logs:DescribeLogGroups", object{"logGroupNamePrefix": c.id}) // sorted: the name itself is first
		groups := answer.list("logGroups")
		if err != nil || len(groups) == 0 {
			return nil, errorOr(err, errGone)
		}
		g := object(groups[0].(map[string]any))
		if g["logGroupName"] != c.id {
			return nil, errGone
		}
		g["arn"], g["name"] = strings.TrimSuffix(g.string("arn"), ":*"), c.id
		if g["retentionInDays"] == nil {
			g["retentionInDays"] = 0.0
		}
		tags, err := c.do("logs:ListTagsForResource", object{"resourceArn": g["arn"]})
		return g.with(tags.only("tags")), err
	},
	update: func(c *call) error {
		if !c.changed["retentionInDays"] {
			return nil
		}
		return setRetention(c)
	},
	delete: func(c *call) error {
		if c.state.bool("skipDestroy") {
			return nil
		}
		return c.try("logs:DeleteLogGroup", object{"logGroupName": c.id})
	},
}

// setRetention sets the days that logs are kept.
func setRetention(c *call) error {
	group := object{"logGroupName": c.id}
	if days, _ := c.in["retentionInDays"].(float64); days > 0 {
		return c.try("logs:PutRetentionPolicy", group, object{"retentionInDays": days})
	}
	if len(c.state) == 0 {
		return nil // a new group keeps them for ever
	}
	return c.try("logs:DeleteRetentionPolicy", group)
}

func errorOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}
