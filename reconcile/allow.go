package reconcile

import (
	"fmt"
	"slices"
	"strings"
)

// The kinds of held drift that --allow releases.
const (
	// AllowPrune stops roles that the spec no longer names and makes the
	// Sentinels forget them.
	AllowPrune = "prune"
	// AllowClients turns a writable replica read-only under its clients.
	AllowClients = "clients"
	// AllowPromote=NODE says who becomes master where no evidence does.
	AllowPromote = "promote"
	// AllowDataLoss=NODE drops that node's data set, after a copy was kept.
	AllowDataLoss = "data-loss"
)

// Allow is what the user released: kinds, some with the names of nodes.
type Allow map[string][]string

// ParseAllow reads KIND or KIND=NODE words, each possibly a comma list. An
// unknown kind, or a kind that needs a node without one, is an error.
func ParseAllow(words []string) (Allow, error) {
	allow := Allow{}
	for _, word := range words {
		for item := range strings.SplitSeq(word, ",") {
			kind, node, _ := strings.Cut(strings.TrimSpace(item), "=")
			switch kind {
			case "":
				continue
			case AllowPrune, AllowClients:
				if node != "" {
					return nil, fmt.Errorf("parse --allow %s: %s takes no node", item, kind)
				}
			case AllowPromote, AllowDataLoss:
				if node == "" {
					return nil, fmt.Errorf("parse --allow %s: name the node, as in %s=r2", item, kind)
				}
			default:
				return nil, fmt.Errorf("parse --allow %s: the kinds are prune, clients, promote=NODE, data-loss=NODE", item)
			}
			allow[kind] = append(allow[kind], node)
		}
	}
	return allow, nil
}

// Has reports whether the kind was released, for this node if it needs one.
func (a Allow) Has(kind, node string) bool {
	nodes, ok := a[kind]
	if kind == AllowPrune || kind == AllowClients {
		return ok
	}
	return slices.Contains(nodes, node)
}

func allowFlag(kind, node string) string {
	if node == "" {
		return "--allow " + kind
	}
	return "--allow " + kind + "=" + node
}
