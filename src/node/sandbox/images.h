// The image table: what an image's name stands for on a machine that pulls nothing.
//
// A name is matched without its registry, tag and digest: "registry.istio.io/release/examples-bookinfo-details-v1:1.20.3"
// is "examples-bookinfo-details-v1". The user's table comes first; it is a YAML file, read when it changed:
//   example.com/team/shop:          # repository, with or without tag
//     command: [/usr/bin/python3, /srv/shop.py]
//     args: [--port, "8080"]        # optional
//     workingDir: /srv              # optional
//     env: {MODE: demo}             # optional
//     files: {/srv/shop.py: /home/me/shop.py}   # optional: path in the container -> path on the host
// Any thread; pure but for reading the file.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "node/runtime.h"

namespace fairlead::node {

// The built-in part. NotFound with a sentence that says how to provide the image.
base::Result<Image> builtin_image(std::string_view name, std::string_view user_table_path);
// The user's part; `text` is the file's content. NotFound when the table does not have it.
base::Result<Image> user_image(std::string_view name, std::string_view text, std::string_view path);

// Splits "host:5000/a/b:tag@sha256:..." into "host:5000/a/b" and the rest.
std::string_view image_repository(std::string_view name);

}  // namespace fairlead::node
