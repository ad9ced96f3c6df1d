package main

import "rsm/reconcile"

// keepSecrets marks the plans that would start a role whose secrets cannot be read
// here: they are found out before anything is touched, not halfway.
func keepSecrets(plans []planned) {
	for i, p := range plans {
		if p.refused == nil {
			plans[i].refused = unreadableSecret(p.plan)
		}
	}
}

func unreadableSecret(plan *reconcile.Plan) error {
	for _, step := range plan.Steps {
		var told reconcile.Told
		switch a := step.Action.(type) {
		case reconcile.StartRole:
			told = a.Told
		case reconcile.ReloadRole:
			told = a.Told
		}
		if told.Settings() == nil {
			continue
		}
		for _, secret := range told.Settings().Secrets() {
			if _, err := secret.Read(); err != nil {
				return refused("%s needs a secret: %v; nothing was done", step.Action.Subject(), err)
			}
		}
	}
	return nil
}
