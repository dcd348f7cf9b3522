# Made by `layers graph --bake`: change the Dockerfiles, not this.
# `layers graph --bake --check --output docker-bake.hcl` fails where it is out of date.
# Paths begin at the root of the repository: run `docker buildx bake` there.

group "default" {
  targets = [
    "base",
    "default-2",
    "py-3",
    "py-3-2",
  ]
}

target "base" {
  context = "docker/base"
  dockerfile = "Dockerfile"
  tags = ["acme/shop-base:latest"]
  platforms = ["linux/arm64"]
}

target "default-2" {
  context = "docker/default"
  dockerfile = "Dockerfile"
  tags = ["acme/shop-default:latest"]
  contexts = {
    "acme/shop-base" = "target:base"
    "acme/shop-py-3" = "target:py-3"
    "extra" = "./extra"
    "tools" = "target:py-3-2"
    "up" = "docker-image://debian:12"
  }
  platforms = ["linux/arm64"]
  secret = ["id=npm,env=NPM_TOKEN"]
  ssh = ["default"]
}

target "py-3" {
  context = "docker/py-3"
  dockerfile = "Dockerfile"
  tags = ["acme/shop-py-3:latest"]
  contexts = {
    "acme/shop-base" = "target:base"
  }
  platforms = ["linux/arm64"]
}

target "py-3-2" {
  context = "."
  dockerfile = "docker/py.3/Dockerfile"
  target = "slim"
  tags = ["acme/shop-py.3:latest"]
  args = {
    "GREETING" = "say \"hi\" \\ $${x}"
  }
  contexts = {
    "acme/shop-base" = "target:base"
  }
  platforms = ["linux/arm64"]
}
