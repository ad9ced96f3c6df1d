package schema

import (
	"slices"
	"time"
)

// The defaults of rules that operations.cue names in its comments.
const (
	defaultEvents        = "monitoring"
	defaultSeverity      = "warning"
	defaultSummary       = "{{.Rule}}{{with .Host}} on {{.}}{{end}}"
	defaultGroupWait     = "10s"
	defaultGroupInterval = "1m"
	defaultRepeat        = "4h"
)

func (d *decoder) rule(path, name string, fields map[string]any) {
	r := Rule{
		Name: name, Type: or(fields, "type", defaultEvents),
		Expr: get[string](fields, "expr"), Clear: get[string](fields, "clear"),
		For: d.span(path, fields, "for", "0s", 0, week), KeepFor: d.span(path, fields, "keepFor", "0s", 0, week),
		By: []string{"host"}, Severity: or(fields, "severity", defaultSeverity), Labels: textMap(fields, "labels"),
		Summary: or(fields, "summary", defaultSummary), Description: get[string](fields, "description"),
		Receivers: textList(fields, "receivers"), Resolved: or(fields, "resolved", "yes") == "yes",
		GroupBy:       []string{"rule"},
		GroupWait:     d.span(path, fields, "groupWait", defaultGroupWait, 0, day),
		GroupInterval: d.span(path, fields, "groupInterval", defaultGroupInterval, time.Millisecond, day),
		Repeat:        d.span(path, fields, "repeat", defaultRepeat, time.Millisecond, year),
		Mute:          d.windows(path+".mute", get[[]any](fields, "mute")),
	}
	if fields["by"] != nil {
		r.By = textList(fields, "by")
	}
	if fields["groupBy"] != nil {
		r.GroupBy = textList(fields, "groupBy")
	}
	if fields["stale"] != nil {
		r.Stale = d.span(path, fields, "stale", "", time.Millisecond, year)
	}
	for i, entry := range get[[]any](fields, "escalate") {
		if e, ok := entry.(map[string]any); ok {
			at := element(path+".escalate", i)
			r.Escalate = append(r.Escalate, Escalation{
				After: d.span(at, e, "after", "", time.Millisecond, year), Receivers: textList(e, "receivers"),
			})
		}
	}
	for _, entry := range get[[]any](fields, "inhibitedBy") {
		if e, ok := entry.(map[string]any); ok {
			by := Inhibition{Rule: get[string](e, "rule"), Equal: []string{"host"}}
			if e["equal"] != nil {
				by.Equal = textList(e, "equal")
			}
			r.InhibitedBy = append(r.InhibitedBy, by)
		}
	}
	d.checkRule(path, r, fields)
	if c := d.ruleCluster(path, r, fields); c != nil {
		c.Operations.Rules = append(c.Operations.Rules, r)
	}
}

// ruleCluster is that of the handlers that the rule names, which must be in one.
func (d *decoder) ruleCluster(path string, r Rule, fields map[string]any) *Cluster {
	var found *Cluster
	look := func(path string, list []any) {
		if list != nil && len(list) == 0 {
			d.report(CodeOperations, path, true, "nobody is told")
		}
		for i, entry := range list {
			name, ok := entry.(string)
			if !ok {
				continue
			}
			h, c := d.handlerNamed(element(path, i), name)
			switch {
			case h == nil:
			case found == nil:
				found = c
			case found != c:
				d.report(CodeOperations, element(path, i), false, "handler %s is in cluster %s, others of the rule in %s", name, c.Name, found.Name)
			}
		}
	}
	look(path+".receivers", get[[]any](fields, "receivers"))
	for i, entry := range get[[]any](fields, "escalate") {
		if e, ok := entry.(map[string]any); ok {
			look(element(path+".escalate", i)+".receivers", get[[]any](e, "receivers"))
		}
	}
	return found
}

// checkInhibitions checks the rules that others are inhibited by.
func (d *decoder) checkInhibitions() {
	told := map[string]bool{}
	for _, c := range d.spec.Clusters {
		for _, r := range c.Operations.Rules {
			for i, by := range r.InhibitedBy {
				at := element(join("rules", r.Name)+".inhibitedBy", i) + ".rule"
				if by.Rule == "" {
					continue // reported already
				}
				switch in := d.ruleNamed(at, by.Rule); {
				case by.Rule == r.Name:
					d.report(CodeInhibits, at, false, "%s would keep itself quiet", r.Name)
					told[r.Name] = true
				case in != nil && in != c:
					d.report(CodeOperations, at, false, "rule %s is in cluster %s, this one in %s", by.Rule, in.Name, c.Name)
				}
			}
		}
		for _, r := range c.Operations.Rules {
			d.inhibitionCycle(c, r, told)
		}
	}
}

// inhibitionCycle reports a circle that a rule is in, once.
func (d *decoder) inhibitionCycle(c *Cluster, r Rule, told map[string]bool) {
	for i, by := range r.InhibitedBy {
		if told[r.Name] || by.Rule == r.Name || !c.inhibits(r.Name, by.Rule, map[string]bool{}, told) {
			continue
		}
		d.report(CodeInhibits, element(join("rules", r.Name)+".inhibitedBy", i)+".rule", false,
			"%s and %s would keep each other quiet", r.Name, by.Rule)
	}
}

// inhibits tells whether rule a keeps b quiet, directly or by others, and marks
// those on the way.
func (c *Cluster) inhibits(a, b string, passed, way map[string]bool) bool {
	r, ok := named(c.Operations.Rules, b, Rule.name)
	if !ok || passed[b] {
		return false
	}
	passed[b] = true
	for _, by := range r.InhibitedBy {
		if by.Rule == a || c.inhibits(a, by.Rule, passed, way) {
			way[b] = true
			return true
		}
	}
	return false
}

// ruleNamed finds the cluster of a rule, nil when there is none; that is reported.
func (d *decoder) ruleNamed(path, name string) *Cluster {
	var names []string
	for _, c := range d.spec.Clusters {
		if slices.ContainsFunc(c.Operations.Rules, func(r Rule) bool { return r.Name == name }) {
			return c
		}
		for _, r := range c.Operations.Rules {
			names = append(names, r.Name)
		}
	}
	// One that is declared wrongly is reported there.
	if !d.written(join("rules", name)) {
		d.nothing(CodeRule, path, "rule", name, names)
	}
	return nil
}
