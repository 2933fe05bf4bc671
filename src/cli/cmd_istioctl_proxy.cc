#include "cli/istioctl.h"

namespace fairlead::cli {

int istioctl_proxy_status(int, char**) { return istioctl_error("not yet"); }
int istioctl_proxy_config(int, char**) { return istioctl_error("not yet"); }

}  // namespace fairlead::cli
