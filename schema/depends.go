package schema

import (
	"slices"
	"strings"
)

// dependencies fills in what each cluster depends on, and checks it over all of
// them. clusters is as it was walked.
func (d *decoder) dependencies(clusters map[string]any) {
	written := map[string][]any{}
	for _, c := range d.spec.Clusters {
		fields, _ := clusters[c.Name].(map[string]any)
		written[c.Name] = get[[]any](fields, "dependsOn")
		for i, entry := range written[c.Name] {
			if name, ok := entry.(string); ok && d.dependency(dependsAt(c.Name, i), c.Name, name) {
				c.DependsOn = append(c.DependsOn, name)
			}
		}
		slices.Sort(c.DependsOn)
		c.DependsOn = slices.Compact(c.DependsOn)
	}
	told := map[string]bool{}
	for _, c := range d.spec.Clusters {
		way := d.spec.needs(c.Name, c.Name, nil)
		if way == nil || told[c.Name] {
			continue
		}
		for _, name := range way {
			told[name] = true
		}
		i := slices.Index(written[c.Name], any(way[1]))
		d.report(CodeDependsCycle, dependsAt(c.Name, i), false, "none can be the first: %s", strings.Join(way, " needs "))
	}
}

func dependsAt(cluster string, i int) string {
	return element(join("clusters", cluster)+".dependsOn", i)
}

// dependency reports whether a cluster may name this one.
func (d *decoder) dependency(path, self, name string) bool {
	if name == self {
		d.report(CodeDependsSelf, path, false, "%s depends on itself", self)
		return false
	}
	// A cluster that is declared wrongly is reported there.
	if _, declared := d.index.labels[join("clusters", name)]; declared || d.spec.Cluster(name) != nil {
		return true
	}
	var names []string
	for _, c := range d.spec.Clusters {
		names = append(names, c.Name)
	}
	p := d.report(CodeDepends, path, false, "there is no cluster %s", name)
	if guess := nearest(name, names); guess != "" && guess != self {
		p.Hint = "did you mean " + guess + "?"
	}
	return false
}

// needs returns a way from one cluster to another along dependsOn, with both
// ends, or nil. passed are those that were looked at; nil to start.
func (s *Spec) needs(from, to string, passed map[string]bool) []string {
	if passed == nil {
		passed = map[string]bool{}
	}
	c := s.Cluster(from)
	if c == nil {
		return nil
	}
	for _, name := range c.DependsOn {
		if name == to {
			return []string{from, to}
		}
		if passed[name] {
			continue
		}
		passed[name] = true
		if rest := s.needs(name, to, passed); rest != nil {
			return append([]string{from}, rest...)
		}
	}
	return nil
}
