package callback

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Allow names addresses that are not public and that callbacks may go to all the same.
type Allow struct {
	ranges []netip.Prefix
	hosts  []string // as a URL has them, with a port or for all ports
}

// ParseAllow reads a list with commas: networks such as 10.1.0.0/16, addresses, and hosts such as receiver.internal or
// localhost:8080.
func ParseAllow(list string) (Allow, error) {
	var a Allow
	for text := range strings.SplitSeq(list, ",") {
		text = strings.ToLower(strings.TrimSpace(text))
		if text == "" {
			continue
		}
		if one, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
			a.ranges = append(a.ranges, netip.PrefixFrom(one.Unmap(), one.Unmap().BitLen()))
			continue
		}
		if network, err := netip.ParsePrefix(text); err == nil && !network.Addr().Is4In6() {
			a.ranges = append(a.ranges, network.Masked())
			continue
		}
		if strings.ContainsAny(text, "/@ ?#*") {
			return a, fmt.Errorf("%q: want networks such as 10.1.0.0/16, or hosts such as receiver.internal or localhost:8080", text)
		}
		if _, port, found := strings.Cut(text, ":"); found {
			if _, err := strconv.ParseUint(port, 10, 16); err != nil {
				return a, fmt.Errorf("%q: want a host, or a host and the number of a port, such as localhost:8080", text)
			}
		}
		a.hosts = append(a.hosts, text)
	}
	return a, nil
}

// special are networks that are in the public ones by their numbers, and lead elsewhere.
var special = prefixes(
	"0.0.0.0/8",        // this network
	"100.64.0.0/10",    // between a provider and its customers
	"192.0.0.0/24",     // protocols
	"192.0.2.0/24",     // documentation
	"168.63.129.16/32", // Azure's own services
	"192.88.99.0/24",   // 6to4 relays
	"198.18.0.0/15",    // benchmarks
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"240.0.0.0/4",      // reserved, and broadcast
	"64:ff9b::/96",     // IPv4 behind NAT64
	"64:ff9b:1::/48",   // the same
	"100::/64",         // discarded
	"2001::/23",        // protocols, with Teredo
	"2001:db8::/32",    // documentation
	"2002::/16",        // IPv4 in 6to4
	"3fff::/20",        // documentation
	"5f00::/16",        // segment routing
	"fec0::/10",        // site-local
)

func prefixes(all ...string) []netip.Prefix {
	var p []netip.Prefix
	for _, text := range all {
		p = append(p, netip.MustParsePrefix(text))
	}
	return p
}

// global6 is all that is given out of IPv6.
var global6 = netip.MustParsePrefix("2000::/3")

// isPublic reports whether an address is one of the Internet's.
func isPublic(a netip.Addr) bool {
	a = a.Unmap()
	if a.Is6() && !global6.Contains(a) {
		return false
	}
	return a.IsGlobalUnicast() && !a.IsPrivate() && a.Zone() == "" &&
		!slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// guard looks at the very address that is about to be dialed, after every name is resolved: what a name led to before,
// or to somebody else, counts for nothing.
func (a Allow) guard(named string) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, _, addr string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(addr)
		if err != nil {
			return fmt.Errorf("%w: %s", ErrRefused, addr)
		}
		ip := to.Addr().Unmap().WithZone("")
		host, _, _ := net.SplitHostPort(named)
		switch {
		case isPublic(to.Addr()), slices.ContainsFunc(a.ranges, func(p netip.Prefix) bool { return p.Contains(ip) }):
			return nil
		case slices.Contains(a.hosts, strings.ToLower(named)), slices.Contains(a.hosts, strings.ToLower(host)):
			return nil
		}
		return ErrRefused
	}
}
