// helloworld: /hello says version and instance.  tcp-echo: says each line back with a word before it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::sample {

int helloworld_main(uint16_t port, std::string_view version);
int tcp_echo_main(const std::vector<uint16_t>& ports, const std::string& word);

}  // namespace fairlead::sample
