package reconcile

import (
	"encoding/json"
	"fmt"
	"reflect"

	"rsm/schema"
)

// kinds is the one table of action names in JSON.
var kinds = map[string]Action{
	"start-role":     StartRole{},
	"stop-role":      StopRole{},
	"reload-role":    ReloadRole{},
	"config-set":     ConfigSet{},
	"replicate":      Replicate{},
	"promote":        Promote{},
	"handover":       Handover{},
	"snapshot":       Snapshot{},
	"wait-sync":      WaitSync{},
	"wait-failover":  WaitFailover{},
	"wait-gossip":    WaitGossip{},
	"wait-known":     WaitKnown{},
	"monitor":        Monitor{},
	"monitor-all":    MonitorAll{},
	"set-sentinel":   SetSentinel{},
	"reset-sentinel": ResetSentinel{},
	"publish":        Publish{},

	"publish-operations": PublishOperations{},
}

// KindOf is the name of an action's type, as in JSON.
func KindOf(action Action) string {
	for name, zero := range kinds {
		if reflect.TypeOf(zero) == reflect.TypeOf(action) {
			return name
		}
	}
	return fmt.Sprintf("%T", action)
}

// stepJSON is a Step on the wire. Text and Impact are for readers; Type and Args
// are what Unmarshal uses.
type stepJSON struct {
	Phase    Phase           `json:"phase"`
	Type     string          `json:"type"`
	Subject  string          `json:"subject"`
	Text     string          `json:"text"`
	Impact   Impact          `json:"impact"`
	Args     json.RawMessage `json:"args"`
	Commands []string        `json:"commands,omitempty"`
	Causes   []Drift         `json:"causes,omitempty"`
	Master   schema.Addr     `json:"master,omitempty"`
	Epoch    uint64          `json:"epoch"`
}

// MarshalJSON writes the action with its type, its text and its commands.
func (s Step) MarshalJSON() ([]byte, error) {
	args, err := json.Marshal(s.Action)
	if err != nil {
		return nil, fmt.Errorf("encode action: %w", err)
	}
	out := stepJSON{
		Phase: s.Phase, Type: KindOf(s.Action), Subject: s.Action.Subject(), Text: s.Action.String(),
		Impact: s.Action.Impact(), Args: args, Causes: s.Causes, Master: s.Master, Epoch: s.Epoch,
		Commands: exact(s.Action),
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote; an unknown type is an error.
func (s *Step) UnmarshalJSON(data []byte) error {
	var in stepJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("decode step: %w", err)
	}
	zero, ok := kinds[in.Type]
	if !ok {
		return fmt.Errorf("decode step: action type %q is unknown to this version", in.Type)
	}
	action := reflect.New(reflect.TypeOf(zero))
	if err := json.Unmarshal(in.Args, action.Interface()); err != nil {
		return fmt.Errorf("decode %s: %w", in.Type, err)
	}
	*s = Step{Phase: in.Phase, Causes: in.Causes, Epoch: in.Epoch}
	s.Master = in.Master
	s.Action = action.Elem().Interface().(Action)
	return nil
}
