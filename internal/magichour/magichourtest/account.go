package magichourtest

import "net/http"

// account shows the balance, and a subscription with every field filled.
func (s *Server) account(*request) reply {
	return reply{status: http.StatusOK, body: map[string]any{
		"id":      s.id("account", 1),
		"email":   "fake@example.com",
		"tier":    "pro",
		"credits": max(0, s.credits), // SetCredits may have made a debt; the API shows none
		"subscription": map[string]any{
			"name":                 "Pro",
			"status":               "active",
			"price":                map[string]any{"amount": 4900, "currency": "usd"},
			"discount":             map[string]any{"percent_off": nil, "amount_off": nil},
			"billing_interval":     "month",
			"current_period_end":   timestamp(s.options.Now().AddDate(0, 1, 0)),
			"cancel_at_period_end": false,
		},
	}}
}
