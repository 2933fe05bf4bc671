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

// A log over the limit becomes path.1 and starts anew. By copying and cutting, since the container's init keeps the file
// open: a line that is written between the last read and the cut is lost (appending writers go on at the new end).
void rotate_log(const std::string& path, int64_t limit_bytes);

// The text of the last lines, at most max_bytes of it.
std::string log_tail(const std::string& path, int64_t lines, size_t max_bytes);

// `follow`: the worker whose container still runs; nullptr: the file is read to its end and that is all. The rotated part
// (path.1) is read when the tail that is asked for reaches into it, as in Kubernetes nothing else shows it.
base::Result<std::unique_ptr<api::LogStream>> open_log_stream(io::Loop& loop, const std::string& path, const api::LogOptions& options, api::LogSink sink,
                                                              PodWorker* follow, const std::string& container);

}  // namespace fairlead::node
