"""What other programs are promised: fields and units, AsyncAPI, CloudEvents."""
