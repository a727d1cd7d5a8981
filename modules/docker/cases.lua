local id = "sha256:" .. ("ab"):rep(32)

return {
  { "docker.image", "loads it", args = { "x:1", id = id, archive = "/x.tar" },
    given = { { "docker.image", "x:1", false } }, title = "load image x:1",
    effect = { { "docker.image", "x:1", id } } },
  { "docker.image", "has another image of that name", args = { "x:1", id = id, archive = "/x" },
    given = { { "docker.image", "x:1", "sha256:" .. ("cd"):rep(32) } }, title = "load image x:1" },
  { "docker.image", "has it", args = { "x:1", id = id, archive = "/x.tar" },
    given = { { "docker.image", "x:1", id } }, same = "docker has it" },
  { "docker.image", "the id is none", args = { "x:1", id = "latest", archive = "/x.tar" },
    given = { { "docker.image", "x:1", false } }, refuses = "is not sha256:" },
}
