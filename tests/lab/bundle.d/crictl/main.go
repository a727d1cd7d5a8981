// A small crictl for the lab: what kubeadm and people ask of a runtime through
// the CRI. Built within the sources of Kubernetes, which have the interface.
package main

import (
	"context"
	"fmt"
	"io/ioutil"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1alpha2"
)

const usage = `usage: crictl [-r SOCKET] COMMAND
  info | version | images | pull IMAGE | inspecti IMAGE | rmi IMAGE
  pods [-q] | stopp POD... | rmp [-f] POD... | ps [-a] [-q] | logs CONTAINER`

type client struct {
	runtime cri.RuntimeServiceClient
	image   cri.ImageServiceClient
	ctx     context.Context
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "crictl:", err)
		os.Exit(1)
	}
}

// configured is the endpoint of /etc/crictl.yaml.
func configured() string {
	text, _ := ioutil.ReadFile("/etc/crictl.yaml")
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "runtime-endpoint:") {
			return strings.TrimSpace(strings.TrimPrefix(line, "runtime-endpoint:"))
		}
	}
	return "unix:///run/containerd/containerd.sock"
}

func connect(endpoint string) client {
	if !strings.Contains(endpoint, "://") {
		endpoint = "unix://" + endpoint
	}
	ctx, _ := context.WithTimeout(context.Background(), 2*time.Minute)
	dial, _ := context.WithTimeout(ctx, 10*time.Second)
	conn, err := grpc.DialContext(dial, endpoint, grpc.WithInsecure(), grpc.WithBlock())
	fail(err)
	return client{cri.NewRuntimeServiceClient(conn), cri.NewImageServiceClient(conn), ctx}
}

func (c client) info() {
	status, err := c.runtime.Status(c.ctx, &cri.StatusRequest{})
	fail(err)
	for _, condition := range status.Status.Conditions {
		fmt.Printf("%s %v %s\n", condition.Type, condition.Status, condition.Message)
	}
}

func (c client) version() {
	v, err := c.runtime.Version(c.ctx, &cri.VersionRequest{})
	fail(err)
	fmt.Println(v.RuntimeName, v.RuntimeVersion, v.RuntimeApiVersion)
}

func (c client) images() {
	list, err := c.image.ListImages(c.ctx, &cri.ListImagesRequest{})
	fail(err)
	for _, image := range list.Images {
		fmt.Println(image.Id, strings.Join(image.RepoTags, " "))
	}
}

func (c client) inspect(name string) {
	status, err := c.image.ImageStatus(c.ctx,
		&cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: name}})
	fail(err)
	if status.Image == nil {
		fail(fmt.Errorf("no such image: %s", name))
	}
	fmt.Println(status.Image.Id, strings.Join(status.Image.RepoTags, " "))
}

func (c client) pods(quiet bool) {
	list, err := c.runtime.ListPodSandbox(c.ctx, &cri.ListPodSandboxRequest{})
	fail(err)
	for _, pod := range list.Items {
		if quiet {
			fmt.Println(pod.Id)
		} else {
			fmt.Println(pod.Id, pod.State, pod.Metadata.Namespace, pod.Metadata.Name)
		}
	}
}

func (c client) containers(quiet, all bool) {
	list, err := c.runtime.ListContainers(c.ctx, &cri.ListContainersRequest{})
	fail(err)
	for _, container := range list.Containers {
		switch {
		case !all && container.State != cri.ContainerState_CONTAINER_RUNNING:
		case quiet:
			fmt.Println(container.Id)
		default:
			fmt.Println(container.Id, container.State, container.Metadata.Name,
				container.Labels["io.kubernetes.pod.name"])
		}
	}
}

func (c client) logs(id string) {
	status, err := c.runtime.ContainerStatus(c.ctx, &cri.ContainerStatusRequest{ContainerId: id})
	fail(err)
	text, err := ioutil.ReadFile(status.Status.LogPath)
	fail(err)
	os.Stdout.Write(text)
}

func (c client) each(command string, names []string) {
	for _, name := range names {
		var err error
		image := &cri.ImageSpec{Image: name}
		switch command {
		case "pull":
			_, err = c.image.PullImage(c.ctx, &cri.PullImageRequest{Image: image})
		case "rmi":
			_, err = c.image.RemoveImage(c.ctx, &cri.RemoveImageRequest{Image: image})
		case "inspecti":
			c.inspect(name)
		case "stopp":
			_, err = c.runtime.StopPodSandbox(c.ctx, &cri.StopPodSandboxRequest{PodSandboxId: name})
		case "rmp":
			_, err = c.runtime.RemovePodSandbox(c.ctx,
				&cri.RemovePodSandboxRequest{PodSandboxId: name})
		case "logs":
			c.logs(name)
		}
		fail(err)
	}
}

func main() {
	endpoint, flags, words := "", map[string]bool{}, []string{}
	for i := 1; i < len(os.Args); i++ {
		switch arg := os.Args[i]; {
		case (arg == "-r" || arg == "--runtime-endpoint") && i+1 < len(os.Args):
			i++
			endpoint = os.Args[i]
		case strings.HasPrefix(arg, "-"):
			flags[arg] = true
		default:
			words = append(words, arg)
		}
	}
	if len(words) == 0 {
		fail(fmt.Errorf("no command\n%s", usage))
	}
	if endpoint == "" {
		endpoint = configured()
	}
	c := connect(endpoint)
	switch words[0] {
	case "info":
		c.info()
	case "version":
		c.version()
	case "images":
		c.images()
	case "pods":
		c.pods(flags["-q"])
	case "ps":
		c.containers(flags["-q"], flags["-a"])
	case "pull", "rmi", "inspecti", "stopp", "rmp", "logs":
		c.each(words[0], words[1:])
	default:
		fail(fmt.Errorf("unknown command %s\n%s", words[0], usage))
	}
}
