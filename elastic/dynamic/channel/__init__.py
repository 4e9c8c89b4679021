"""Channel gating: convolutions read the rest of their channels where what the first ones say is worth it."""

from elastic.dynamic.channel.gating import gate_channels_dynamically as gate_channels_dynamically
from elastic.dynamic.channel.inference import choices_in as choices_in
from elastic.dynamic.channel.inference import left_masked as left_masked
from elastic.dynamic.channel.inference import measure as measure
from elastic.dynamic.channel.inference import skipping_network as skipping_network
from elastic.dynamic.channel.layers import ChannelGated as ChannelGated
from elastic.dynamic.channel.layers import channel_gates as channel_gates
from elastic.dynamic.channel.network import channel_gated as channel_gated
from elastic.dynamic.channel.network import ungated as ungated
from elastic.dynamic.channel.paying import open_where_slower as open_where_slower
from elastic.dynamic.channel.saving import Saving as Saving
from elastic.dynamic.channel.saving import savings as savings
from elastic.dynamic.channel.saving import savings_table as savings_table
