// Reads requests as Docker's engine does: by Go's net/http, by routes that are tried like those of gorilla/mux, forms by
// ParseForm, and the body of a creation by encoding/json into what the engine has for it. Answers each request with a field
// of JSON, Said, that tells what it read.
//
// usage: judge SOCKET
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
)

// The engine's routes, in its order: {} is a name that may have slashes, {-} one that may not.
const routes = `
HEAD /_ping
GET /_ping
HEAD /containers/{}/archive
GET /containers/json
GET /containers/{}/export
GET /containers/{}/changes
GET /containers/{}/json
GET /containers/{}/top
GET /containers/{}/logs
GET /containers/{}/stats
GET /containers/{}/attach/ws
GET /exec/{}/json
GET /containers/{}/archive
GET /containers/{}/checkpoints
POST /containers/create
POST /containers/{}/kill
POST /containers/{}/pause
POST /containers/{}/unpause
POST /containers/{}/restart
POST /containers/{}/start
POST /containers/{}/stop
POST /containers/{}/wait
POST /containers/{}/resize
POST /containers/{}/attach
POST /containers/{}/exec
POST /containers/{}/checkpoints
POST /exec/{}/start
POST /exec/{}/resize
POST /containers/{}/rename
POST /containers/{}/update
POST /containers/prune
POST /commit
PUT /containers/{}/archive
DELETE /containers/{}
GET /images/json
GET /images/search
GET /images/get
GET /images/{}/get
GET /images/{}/history
GET /images/{}/json
POST /images/load
POST /images/create
POST /images/{}/push
POST /images/{}/tag
POST /images/prune
DELETE /images/{}
OPTIONS /{}
GET /events
GET /info
GET /version
GET /system/df
POST /auth
GET /volumes
GET /volumes/{}
POST /volumes/create
POST /volumes/prune
PUT /volumes/{}
DELETE /volumes/{}
POST /build
POST /build/prune
POST /build/cancel
POST /session
POST /grpc
GET /networks
GET /networks/
GET /networks/{}
POST /networks/create
POST /networks/{}/connect
POST /networks/{}/disconnect
POST /networks/prune
DELETE /networks/{}
GET /plugins
GET /plugins/{}/json
GET /plugins/privileges
DELETE /plugins/{}
POST /plugins/{}/enable
POST /plugins/{}/disable
POST /plugins/pull
POST /plugins/{}/push
POST /plugins/{}/upgrade
POST /plugins/{}/set
POST /plugins/create
POST /swarm/init
POST /swarm/join
POST /swarm/leave
GET /swarm
GET /swarm/unlockkey
POST /swarm/update
POST /swarm/unlock
GET /services
GET /services/{-}
POST /services/create
POST /services/{-}/update
DELETE /services/{-}
GET /services/{-}/logs
GET /nodes
GET /nodes/{-}
DELETE /nodes/{-}
POST /nodes/{-}/update
GET /tasks
GET /tasks/{-}
GET /tasks/{-}/logs
GET /secrets
POST /secrets/create
DELETE /secrets/{-}
GET /secrets/{-}
POST /secrets/{-}/update
GET /configs
POST /configs/create
DELETE /configs/{-}
GET /configs/{-}
POST /configs/{-}/update
GET /distribution/{}/json
`

type route struct {
	method, name string
	pattern      *regexp.Regexp
}

func parseRoutes() []route {
	var all []route
	for _, line := range strings.Fields(strings.ReplaceAll(strings.TrimSpace(routes), " /", ":/")) {
		method, path, _ := strings.Cut(line, ":")
		pattern := regexp.QuoteMeta(path)
		pattern = strings.ReplaceAll(pattern, regexp.QuoteMeta("{}"), "(?s:.*)")
		pattern = strings.ReplaceAll(pattern, regexp.QuoteMeta("{-}"), "[^/]+")
		name := method + " " + strings.ReplaceAll(path, "{-}", "{}")
		all = append(all, route{method, name, regexp.MustCompile("^(?:/v[0-9.]+)?" + pattern + "$")})
	}
	return all
}

var all = parseRoutes()

func routeOf(r *http.Request) string {
	for _, one := range all {
		if one.method == r.Method && one.pattern.MatchString(r.URL.Path) {
			return one.name
		}
	}
	return ""
}

// What reaches the host, as the engine's types have it: a value of another type is an error there, too.
type HostConfig struct {
	Privileged, PublishAllPorts, ReadonlyRootfs, AutoRemove                                         bool
	NetworkMode, PidMode, IpcMode, UTSMode, UsernsMode, CgroupnsMode, Cgroup, CgroupParent, Runtime string
	VolumeDriver, ContainerIDFile, Isolation                                                        string
	Binds, VolumesFrom, CapAdd, SecurityOpt, DeviceCgroupRules, Links, GroupAdd                     []string
	MaskedPaths, ReadonlyPaths                                                                      []string
	Sysctls, StorageOpt, Tmpfs, Annotations                                                         map[string]string
	PortBindings                                                                                    map[string][]struct{ HostIp, HostPort string }
	LogConfig                                                                                       struct {
		Type   string
		Config map[string]string
	}
	Devices        []struct{ PathOnHost, PathInContainer, CgroupPermissions string }
	DeviceRequests []struct{ Driver string }
	Mounts         []struct {
		Type, Source, Target string
		VolumeOptions        *struct {
			DriverConfig *struct {
				Name    string
				Options map[string]string
			}
		}
		BindOptions *struct{ Propagation string }
	}
	Memory, NanoCpus, CpuShares           int64
	OomScoreAdj                           int
	OomKillDisable                        *bool
	CpuRealtimePeriod, CpuRealtimeRuntime int64
	Ulimits                               []any
	ShmSize                               int64
}

// The engine takes members of the document itself for the host configuration where it has none of its own.
type creation struct {
	Image, User, Hostname, WorkingDir string
	Cmd, Entrypoint                   any
	Env                               []string
	Volumes                           map[string]struct{}
	Labels                            map[string]string
	InnerHostConfig                   *HostConfig    `json:"HostConfig,omitempty"`
	NetworkingConfig                  map[string]any `json:"NetworkingConfig,omitempty"`
	*HostConfig
}

type execution struct {
	User, WorkingDir, DetachKeys                                     string
	Privileged, Tty, AttachStdin, AttachStderr, AttachStdout, Detach bool
	Env, Cmd                                                         []string
}

func decode(r *http.Request, into any) string {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return "no JSON"
	}
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		return err.Error()
	}
	return ""
}

// What Docker does with the two host configurations that a document can have.
func hostOf(c *creation) *HostConfig {
	if c.InnerHostConfig != nil {
		return c.InnerHostConfig
	}
	return c.HostConfig
}

func judge(w http.ResponseWriter, r *http.Request) {
	said := map[string]any{"method": r.Method, "path": r.URL.Path, "host": r.Host, "route": routeOf(r)}
	switch said["route"] {
	case "POST /containers/create":
		var c creation
		said["error"] = decode(r, &c)
		said["host_config"], said["networking"] = hostOf(&c), c.NetworkingConfig
	case "POST /containers/{}/exec":
		var e execution
		said["error"] = decode(r, &e)
		said["exec"] = e
	}
	if err := r.ParseForm(); err != nil && !strings.HasPrefix(err.Error(), "mime:") {
		said["error"] = err.Error()
	}
	said["form"] = r.Form
	rest, err := io.ReadAll(r.Body)
	if err != nil {
		said["error"] = err.Error()
	}
	said["rest"] = len(rest)
	line, _ := json.Marshal(said)
	w.Header().Set("Said", string(line))
}

func main() {
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	http.Serve(listener, http.HandlerFunc(judge))
}
