// Reading a container's log file (CRI lines) as `kubectl logs` asks for it. Loop thread only.
#pragma once

#include <memory>
#include <string>

#include "api/pod_backend.h"
#include "io/loop.h"

namespace fairlead::node {

class PodWorker;

// One CRI line ("TIME STREAM TAG TEXT") taken apart; false when it is not one.
struct CriLine {
  std::string_view time, stream, text;
  bool whole = true;  // tag F: a newline follows
};
bool parse_cri_line(std::string_view line, CriLine& out);

// Where in `text` (a log file) the last `lines` whole lines begin.
size_t tail_offset(std::string_view text, int64_t lines);

// `follow`: the worker whose container still runs; nullptr: the file is read to its end and that is all. Rotated parts
// (path.1) are read first.
base::Result<std::unique_ptr<api::LogStream>> open_log_stream(io::Loop& loop, const std::string& path, const api::LogOptions& options, api::LogSink sink,
                                                              PodWorker* follow, const std::string& container);

}  // namespace fairlead::node
