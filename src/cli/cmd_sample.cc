// `fairlead sample NAME [args]`, and the same when called by a sample program's name (fortio, gunicorn).
#include "cli/commands.h"
#include "sample/sample.h"

namespace fairlead::cli {

int cmd_sample(int argc, char** argv) { return sample::run(argc, argv); }

}  // namespace fairlead::cli
