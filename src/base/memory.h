// Memory that a quiet process gives back. Any thread.
#pragma once

namespace fairlead::base {

// Free memory of malloc, and the pages of this program's own code and constants: what start-up or a burst went through is
// not needed again soon, and what is comes back from the page cache, some fifty soft faults. Takes a millisecond or two.
void give_back_memory();

}  // namespace fairlead::base
